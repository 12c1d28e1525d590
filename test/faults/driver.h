// SPDX-License-Identifier: BSD-2-Clause
// Calls the library under faults, and holds it to what it owes: see Driver.
#ifndef KQFAULTS_DRIVER_H
#define KQFAULTS_DRIVER_H

#include <sys/event.h>

#include <chrono>
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

using std::chrono::milliseconds;

// A call may fail, with one of the errors that are due, and only while there is a fault. The same
// call after it, without the fault, succeeds, and all events come.
class Driver {
  public:
    struct Hooks {
        std::function<bool(int)> due;    // whether an errno is one to be reported now
        std::function<void()> relieve;   // takes the fault away when a call was refused
        std::function<void()> before{};  // each call
    };
    explicit Driver(Hooks hooks) : hooks_(std::move(hooks)) {}

    Fd kqueue();
    void change(const Fd& queue, uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                intptr_t data = 0);
    // The same with kevent64(), which has more to remember. `room`: for an answer.
    void change_wide(const Fd& queue, uintptr_t ident, int filter, unsigned flags,
                     bool room = false);
    // These come, within some seconds, and none else. Level ones may come twice.
    void expect(const Fd& queue, std::set<Key> events);
    // None comes, in this time. What is wrongly there is there at once, but for what time brings.
    void expect_none(const Fd& queue, milliseconds time = milliseconds{1});
    // A call that may collect, and finds what it likes.
    void look(const Fd& queue) { (void)collect(queue, milliseconds{0}); }
    // How many events a call may collect: 8, if not said.
    void set_room(size_t room) { room_ = room; }
    // What comes.
    std::vector<struct kevent> collect(const Fd& queue, milliseconds timeout);
    // Calls take(event) for what comes, until it has had enough: true. As expect() otherwise.
    void collect_until(const Fd& queue, const std::function<bool(const struct kevent&)>& take);
    // A signal comes, and its handler runs: the library's.
    void raise_signal(int number);

  private:
    void refused(int error, const std::string& call);
    void begin_call() const {
        if (hooks_.before) hooks_.before();
    }

    Hooks hooks_;
    int refusals_ = 0;
    size_t room_ = 8;
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

enum class Needs : unsigned char { nothing, news };  // NOTE_FORK and its kin: L-PROC-NEWS

struct Scenario {
    const char* name;
    void (*run)(Driver&);
    Needs needs = Needs::nothing;
    int without_proc = 0;  // what calls may answer while there is none, beside the usual
};
const std::vector<Scenario>& scenarios();  // scenarios.cc

}  // namespace kqfaults

#endif
