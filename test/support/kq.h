// SPDX-License-Identifier: BSD-2-Clause
// What every conformance test uses: changes, a queue, expectations about events, and the fixture.
//
//     class Read : public kqtest::KqTest {};
//
//     TEST_F(Read, R95_ClearReportsOnce) {
//         Queue q;
//         Pipe p = make_pipe();
//         ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
//         write_bytes(*p.write, 3);
//         expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 3);
//         expect_none(q.collect());
//     }
//
// Includes only <sys/event.h>, libc and GoogleTest, so that the tests can be built on a native BSD.
#ifndef KQTEST_KQ_H
#define KQTEST_KQ_H

#include <gtest/gtest.h>
#include <sys/event.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "support/fd.h"

void PrintTo(const struct kevent& event, std::ostream* out);

namespace kqtest {

using Event = struct kevent;

// Any integer; a negative one is widened as a C program would do it: (uintptr_t)-1.
struct Ident {
    template <std::integral T>
    Ident(T number) : value(static_cast<uintptr_t>(number)) {}
    uintptr_t value;
};

Event change(Ident ident, int filter, int flags, unsigned fflags = 0, intptr_t data = 0,
             void* udata = nullptr);

// A pointer that nothing dereferences, for udata.
void* tag(uintptr_t number);

std::string to_string(const Event& event);
bool same(const Event& a, const Event& b);  // every member

// ---- time ----

using Clock = std::chrono::steady_clock;

inline Clock::time_point now() {
    return Clock::now();
}
milliseconds since(Clock::time_point start);  // whole milliseconds, rounded down
timespec to_timespec(std::chrono::nanoseconds time);

inline constexpr timespec kAtOnce{0, 0};              // only look
inline constexpr const timespec* kForever = nullptr;  // wait until something happens

// ---- the queue ----

struct Result {
    int ret = -1;
    int error = 0;              // errno if ret is -1, else 0
    std::vector<Event> events;  // the entries written: ret of them
};

std::ostream& operator<<(std::ostream& out, const Result& result);

// Owns a kqueue.
class Queue {
  public:
    Queue();
    explicit Queue(int fd) : fd_(fd) {}

    int fd() const { return *fd_; }
    int close() { return ::close(fd_.release()); }

    // Applies changes without an eventlist; stops at the first that fails. Returns 0 or its errno.
    template <class... C>
    int apply(const C&... changes) const {
        return apply(std::vector<Event>{changes...});
    }
    int apply(const std::vector<Event>& changes) const;

    // Collects, waiting at most `limit` for the first. Fails the test if kevent() fails.
    std::vector<Event> collect(int max = 16, milliseconds limit = milliseconds{0}) const;

    // Collects events that must come.
    std::vector<Event> wait(int max = 16) const { return collect(max, time_limit()); }

    // The plain call.
    Result call(const std::vector<Event>& changes, int nevents, const timespec* timeout) const;

    // poll() on the descriptor of the queue itself.
    bool readable() const;
    bool wait_until_readable() const { return wait_readable(fd()); }

  private:
    Fd fd_;
};

// Collects until there are so many events.
std::vector<Event> collect_all(const Queue& q, size_t count);

// ---- expectations; a failure names the caller's line ----

void expect_event(const Event& event, Ident ident, int filter, int flags, unsigned fflags = 0,
                  intptr_t data = 0, void* udata = nullptr, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE());

// Whether all these events are edges that may be reported again (P-EDGE, L-UNIX-DGRAM). Then the
// test is skipped.
bool skipped_edges_told_again(const std::vector<Event>& events);
// For events that are known to come of such an edge: whether the test has lasted so long.
bool skipped_told_again(const std::vector<Event>& events);

// Exactly this one event. On a machine that is slow, edges that are told again may be beside it
// (P-EDGE). Then the test counts as skipped.
void expect_only(const std::vector<Event>& events, Ident ident, int filter, int flags,
                 unsigned fflags = 0, intptr_t data = 0, void* udata = nullptr,
                 const char* file = __builtin_FILE(), int line = __builtin_LINE());

// No event. P-EDGE: the POSIX backend reports an edge again after a quarter of a second. A test
// that has lasted longer, because the machine is busy, cannot tell such an edge from a wrong one.
// Then it counts as skipped.
void expect_none(const std::vector<Event>& events, const char* file = __builtin_FILE(),
                 int line = __builtin_LINE());

// The call answered its changes with exactly these entries. Each is a change with EV_ERROR added to
// its flags; data is the errno (0 for a receipt).
struct Answer {
    Event change;
    int error;
};
void expect_answers(const Result& result, const std::vector<Answer>& answers,
                    const char* file = __builtin_FILE(), int line = __builtin_LINE());

// The call returned -1 with this errno.
void expect_failed(const Result& result, int error, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE());

// The whole queue is empty now and the kqueue works: no stray knote reports anything.
void expect_silent(const Queue& queue, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE());

// Whether there is a knote of that name. Looks with flags 0, which does not change it, except saved
// values: not for EVFILT_USER or EVFILT_TIMER knotes if these matter afterwards.
bool has_knote(const Queue& queue, Ident ident, int filter);

// The idents of the events, in order.
std::vector<uintptr_t> idents(const std::vector<Event>& events);

// ---- the fixture ----

// number -> what it is
std::map<int, std::string> open_descriptors();

// Fails the test if descriptors are left open at its end that were not open at its beginning.
class LeakCheck {
  public:
    LeakCheck();
    LeakCheck(const LeakCheck&) = delete;
    ~LeakCheck();

  private:
    std::map<int, std::string> before_;
};

// The check runs when the members of the fixture, and of fixtures derived from it, are gone. For a
// parametrised test: class X : public KqTest, public testing::WithParamInterface<T> {};
class KqTest : public testing::Test {
  private:
    LeakCheck leaks_;
};

}  // namespace kqtest

#endif
