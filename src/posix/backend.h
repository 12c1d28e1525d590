// SPDX-License-Identifier: BSD-2-Clause
// The kernel queue of any POSIX system: poll(). Contract: platform.h.
//
// There is no kernel queue. collect() asks poll() for all that this object remembers, and sleep()
// waits for it. The public descriptor is the read end of a pipe (doorbell.h). So outsiders find it
// readable only where this library knew of something to tell and put a byte there: see P-POLL in
// BUGS.md.
//
// A kqueue needs three descriptors; what it watches needs none. Lock: the kqueue's mutex, except
// for the functions that platform.h exempts.
#ifndef KQ_POSIX_BACKEND_H
#define KQ_POSIX_BACKEND_H

#include <atomic>

#include "children.h"
#include "file_watch.h"
#include "open_numbers.h"
#include "platform.h"
#include "poller.h"

namespace kq {

class Backend {
  public:
    // Sleepers poll another number of the pipe: closing the public one wakes none of them.
    static constexpr bool kHearsClose = false;
    // Edges are armed again by looking at them, and files are looked at.
    static constexpr bool kMaySleepFirst = false;
    static constexpr bool kTellsClosed = true;
    static const int kKqueue1Flags;
    static constexpr Capabilities kHas{.duplicates = true,
                                       .fork = true,
                                       .files = true,
                                       .processes = true,
                                       .signals = true,
                                       .urgent = true,
                                       .unsent = true};

    Backend() = default;
    ~Backend();  // closes all but the public descriptor
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Errno open(uint32_t tag);
    // The writing end of the pipe was closed, and without it the pipe is of no use.
    static constexpr bool kAdopts = false;
    static Errno adopt(int, uint32_t) { return Errno::unimplemented; }
    [[nodiscard]] static bool holds_descriptors() { return true; }
    void move_to(int descriptor);
    void close_unpublished();
    [[nodiscard]] int descriptor() const { return public_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool exists() const;

    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts) { return poller_.still(fd, facts); }
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor, uint32_t tag);
    static bool is_queue(int descriptor) { return doorbell::tag_of(descriptor) != 0; }
    static bool is_duplicate(int descriptor, int other);
    static Result<uint32_t> tag_of(int descriptor) { return doorbell::tag_of(descriptor); }
    static Result<int> visit_open(void (*visit)(void*, int), void* context) {
        return open_numbers::visit(visit, context);
    }
    static void note_collected(std::span<const Wakeup>) {}  // collect() reports only what is ours
    static void follow(int, int) {}
    Errno hear_signals();

    static Errno prepare_clock(Clock) { return Errno::ok; }
    void settle(Nanos monotonic, Nanos realtime) {
        set_deadline(Clock::monotonic, monotonic);
        set_deadline(Clock::realtime, realtime);
    }

    Errno watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take_files(FileWatch::Tell tell, void* context) { files_.take(tell, context); }
    static bool files_told() { return false; }

    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& facts);
    void unwatch_process(ProcessFacts& facts) { children_.unwatch(facts); }
    static Errno hear_processes(bool) { return Errno::unimplemented; }

    void abandon_in_child();
    void abandon_all_but_number();
    static void close_number(int number);
    Errno open_at(int number, uint32_t tag);
    static bool is_out_of_reach(int32_t) { return true; }  // only children can be watched
    static void close_in_child(int descriptor);
    static void close_shared() {}
    static void lock_before_fork() {}
    static void unlock_after_fork(bool) {}

  private:
    void set_deadline(Clock clock, Nanos t);
    size_t collect_own(std::span<Wakeup> out, Nanos t);

    std::atomic<int> public_{-1};
    Doorbell* bell_ = nullptr;
    Poller poller_;
    FileWatch files_;
    Children children_;
    std::atomic<bool> unheard_{false};  // the pipe is readable, but there was no room to say so
    bool own_filled_ = false;           // collect_own() left no room for descriptors last time
    // The last sleep of a thread ended only because its time was over.
    mutable std::atomic<bool> only_time_passed_{false};
};

}  // namespace kq

#endif
