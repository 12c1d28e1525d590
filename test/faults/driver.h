// Calls the library under faults, and holds it to what it owes: see Driver.
#ifndef KQFAULTS_DRIVER_H
#define KQFAULTS_DRIVER_H

#include <sys/event.h>

#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/fd.h"

namespace kqfaults {

using kqtest::Fd;

// What the library owed and did not give.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// An event, by what names its knote.
struct Key {
    uintptr_t ident;
    int filter;
    auto operator<=>(const Key&) const = default;
};

// A call may fail, with one of the errors that are due, and only while there is a fault. The same
// call after it, without the fault, succeeds, and all events come.
class Driver {
  public:
    // `due` tells whether an errno is one to be reported now; `relieve` takes the fault away when
    // a call was refused.
    Driver(std::function<bool(int)> due, std::function<void()> relieve)
        : due_(std::move(due)), relieve_(std::move(relieve)) {}

    Fd kqueue();
    void change(const Fd& queue, uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                intptr_t data = 0);
    // The same with kevent64(), which has more to remember.
    void change_wide(const Fd& queue, uintptr_t ident, int filter, unsigned flags);
    // These come, within some seconds, and none else. Level ones may come twice.
    void expect(const Fd& queue, std::set<Key> events);
    // None comes.
    void expect_none(const Fd& queue) { expect(queue, {}); }
    // A call that may collect, and finds what it likes.
    void look(const Fd& queue);

    [[nodiscard]] int refusals() const { return refusals_; }

  private:
    void refused(int error, const std::string& call);
    int collect(const Fd& queue, struct kevent* events, int room, const timespec& timeout);

    std::function<bool(int)> due_;
    std::function<void()> relieve_;
    int refusals_ = 0;
};

// ---- what scenarios are made of; never refused ----

// While it lives descriptors can be had, whatever the limit.
class Unlimited {
  public:
    Unlimited();
    ~Unlimited();
    Unlimited(const Unlimited&) = delete;

  private:
    unsigned long long soft_;
};

// Its number is out of the way of a low limit.
Fd high(int fd);
struct Ends {
    Fd first;
    Fd second;
};
Ends make_pipe();
Ends make_sockets(int type);

struct Scenario {
    const char* name;
    void (*run)(Driver&);
    int otherwise = 0;  // what a call may fail with instead of the errno of the system
};
const std::vector<Scenario>& scenarios();

}  // namespace kqfaults

#endif
