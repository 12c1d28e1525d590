// SPDX-License-Identifier: BSD-2-Clause
// Shared by the tests on the simulated system: a fixture, a class Queue, and short functions to
// write changes and to compare events.
#ifndef KQ_SIM_TEST_H
#define KQ_SIM_TEST_H

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "kqueue.h"
#include "trace.h"
#include "world.h"

namespace sim {

using kq::Mode;
using Kevents = std::vector<struct kevent>;

// A change. Only the filter says whether the ident is a descriptor.
struct kevent change(uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                     intptr_t data = 0, void* udata = nullptr);

// Shown by gtest when a comparison fails.
std::string show(const Kevents& events);
// The idents, in order.
std::vector<int> idents(const Kevents& events);
// The data of the only event; -1000 and a failure if there is not exactly one.
intptr_t only_data(const Kevents& events);

// A kqueue of the library on the simulated kernel queue.
//
// After each call it checks the promise of kqueue.h: queued knotes that the kernel does not back
// are announced, and otherwise nothing is announced.
class Queue {
  public:
    Queue();
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    // kevent() without an eventlist: returns ok or the errno.
    Errno apply(const Kevents& changes);
    Errno change(uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                 intptr_t data = 0, void* udata = nullptr);
    // kevent(): returns the entries. error() has the error.
    Kevents wait(int most = 64, Nanos timeout = 0, const Kevents& changes = {});
    Kevents wait_until(const timespec* timeout, int most = 64, const Kevents& changes = {});
    [[nodiscard]] Errno error() const { return error_; }

    // The public descriptor, as poll() sees it.
    [[nodiscard]] bool readable() { return backend().readable(); }
    kq::Backend& backend() KQ_NO_ANALYSIS { return kqueue_.backend(); }
    kq::Kqueue& kqueue() { return kqueue_; }
    // How many knotes are on the active queue, and how many of these the kernel does not back.
    int queued();
    int unbacked();

  private:
    void check_promise();

    kq::Kqueue kqueue_;
    Errno error_ = Errno::ok;
};

// A new world for each test.
class Sim : public testing::Test {
  protected:
    Sim() {
        reset();
        kq::trace_initialize();  // KQUEUE_DEBUG=3 shows what a failing test did
    }

    // Open files with something ready.
    static int readable(int64_t bytes = 1) {
        const int fd = world().open(FdKind::unix_stream);
        world().feed(fd, bytes);
        return fd;
    }
    static int quiet() { return world().open(FdKind::unix_stream); }
    static int writable(int64_t space = 4096) {
        const int fd = world().open(FdKind::unix_stream);
        world().room(fd, space);
        return fd;
    }
    static int regular(int64_t size) {
        const int fd = world().open(FdKind::regular);
        world().file(fd).size = size;
        return fd;
    }
    static void drain(int fd) { world().feed(fd, -world().file(fd).readable); }

    // Counts since the last reset_counts().
    static Counts& counts() { return world().counts; }
    static void reset_counts() { world().counts = Counts(); }
};

}  // namespace sim

#endif
