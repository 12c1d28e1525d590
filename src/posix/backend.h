// The kernel queue of any POSIX system: poll(). Contract: platform.h.
//
// There is no kernel queue: what this object remembers is asked for with poll() in each
// collect(), and waited for in sleep(). The public descriptor is the read end of a pipe
// (doorbell.h), so outsiders find it readable only where this library knew of something
// to tell and put a byte there: see P-POLL in BUGS.md.
//
// Three descriptors for a kqueue, none for what it watches. Lock: the kqueue's mutex, but
// for what platform.h exempts.
#ifndef KQ_POSIX_BACKEND_H
#define KQ_POSIX_BACKEND_H

#include <atomic>

#include "children.h"
#include "file_watch.h"
#include "platform.h"
#include "poller.h"

namespace kq {

class Backend {
  public:
    Backend() = default;
    ~Backend();  // closes all but the public descriptor
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Errno open(uint32_t tag);
    // Without the writing end, which was closed, a pipe is of no use.
    static Errno adopt(int, uint32_t) { return Errno::unimplemented; }
    void move_to(int descriptor);
    void close_unpublished();
    [[nodiscard]] int descriptor() const { return public_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool exists() const;

    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    // The kernel knows no queue: its number takes no part.
    [[nodiscard]] static bool asks_public(const FdFacts& /*facts*/) { return false; }
    Errno still(int fd, FdFacts& facts) { return poller_.still(fd, facts); }
    // There is no kernel queue that could be haunted.
    static Errno begin_renewal() { return Errno::unimplemented; }
    static Errno carry_over(int, Handle, FdFacts&) { return Errno::unimplemented; }
    // NOLINTNEXTLINE(readability-convert-member-functions-to-static): called like collect()
    Result<size_t> collect_old(std::span<Wakeup>) { return Errno::unimplemented; }
    static void end_renewal() {}
    static void cancel_renewal() {}
    static Errno carry_back(int, FdFacts&) { return Errno::unimplemented; }
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor, uint32_t tag);
    static bool is_queue(int descriptor) { return doorbell::tag_of(descriptor) != 0; }
    static bool is_duplicate(int descriptor, int other);
    static Result<uint32_t> tag_of(int descriptor) { return doorbell::tag_of(descriptor); }
    static void follow(int, int) {}
    Errno hear_signals();

    static Errno prepare_clock(Clock) { return Errno::ok; }
    void set_deadline(Clock clock, Nanos t);

    Errno watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take_files(FileWatch::Tell tell, void* context) { files_.take(tell, context); }

    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& facts);
    void unwatch_process(ProcessFacts& facts) { children_.unwatch(facts); }
    static Errno hear_processes(bool) { return Errno::unimplemented; }

    void abandon_in_child();
    static void close_in_child(int descriptor);
    static void close_shared() {}

  private:
    size_t collect_own(std::span<Wakeup> out, Nanos t);

    std::atomic<int> public_{-1};
    Doorbell* bell_ = nullptr;
    Poller poller_;
    FileWatch files_;
    Children children_;
    std::atomic<bool> unheard_{false};  // readable, and there was no room to say so
    // A thread has slept since, and nothing has ended that but time.
    mutable std::atomic<bool> only_time_passed_{false};
};

}  // namespace kq

#endif
