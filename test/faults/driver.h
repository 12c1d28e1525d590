// SPDX-License-Identifier: BSD-2-Clause
// Calls the library under faults, and checks that it does what it must: see Driver.
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

// The library did not do what it must.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// An event, by the two values that name its knote.
struct Key {
    uintptr_t ident;
    int filter;
    auto operator<=>(const Key&) const = default;
};

using std::chrono::milliseconds;

// A call may fail only while there is a fault, and only with one of the errors that are due. The
// same call without the fault must then succeed, and all events must come.
class Driver {
  public:
    struct Hooks {
        std::function<bool(int)> due;    // whether this errno may be reported now
        std::function<void()> relieve;   // removes the fault after a refused call
        std::function<void()> before{};  // called before each call
    };
    explicit Driver(Hooks hooks) : hooks_(std::move(hooks)) {}

    Fd kqueue();
    void change(const Fd& queue, uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                intptr_t data = 0);
    // The same with kevent64(), which has more data to keep. `room`: there is room for an answer.
    void change_wide(const Fd& queue, uintptr_t ident, int filter, unsigned flags,
                     bool room = false);
    // These events come within some seconds, and no others. Level-triggered ones may come twice.
    void expect(const Fd& queue, std::set<Key> events);
    // No event comes in this time. A wrong event comes at once, except if it needs time to happen.
    void expect_none(const Fd& queue, milliseconds time = milliseconds{1});
    // A call that may collect events. Any events are right.
    void look(const Fd& queue) { (void)collect(queue, milliseconds{0}); }
    // How many events a call may collect; 8 if this is not called.
    void set_room(size_t room) { room_ = room; }
    // Collects what comes within `timeout`.
    std::vector<struct kevent> collect(const Fd& queue, milliseconds timeout);
    // Calls take(event) for each event, until take() returns true. Otherwise as expect().
    void collect_until(const Fd& queue, const std::function<bool(const struct kevent&)>& take);
    // Sends a signal to this process. The library's handler runs.
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

// ---- parts of scenarios, which are never refused ----

// While it lives, the limit of descriptors is as high as possible.
class Unlimited {
  public:
    Unlimited();
    ~Unlimited();
    Unlimited(const Unlimited&) = delete;

  private:
    unsigned long long soft_;
};

// Gives a descriptor a number above the low limits.
Fd high(int fd);
struct Ends {
    Fd first;
    Fd second;
};

// news: the scenario needs NOTE_FORK and similar notes, see L-PROC-NEWS. mounts: it needs the right
// to mount.
enum class Needs : unsigned char { nothing, news, mounts };

struct Scenario {
    const char* name;
    void (*run)(Driver&);
    Needs needs = Needs::nothing;
    int without_proc = 0;  // another error that calls may report while /proc is missing
};
const std::vector<Scenario>& scenarios();  // parts.cc

}  // namespace kqfaults

#endif
