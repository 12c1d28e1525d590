// The kernel queue of Linux: epoll. Contract: platform.h.
//
// The public descriptor is the epoll descriptor itself. Beside it appear, when
// first needed: a second, inner epoll for descriptors whose READ and WRITE want
// different modes (an epoll item has only one); a timerfd for each clock; an
// inotify instance; and one pidfd for each watched process. Two eventfds serve the whole process:
// see anchors.h. Lock: the kqueue's mutex, but for what platform.h exempts.
#ifndef KQ_LINUX_BACKEND_H
#define KQ_LINUX_BACKEND_H

#include "children.h"
#include "platform.h"
#include "vnodes.h"

namespace kq {

class Backend {
  public:
    Backend() = default;
    ~Backend();  // closes all but the public descriptor
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Errno open();
    void close_unpublished();
    [[nodiscard]] int descriptor() const { return lanes_[0]; }
    [[nodiscard]] bool exists() const;

    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts);
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor);

    Errno prepare_clock(Clock clock);
    void set_deadline(Clock clock, Nanos t);

    Errno watch_file(int fd, Handle handle, FdFacts& facts);
    void unwatch_file(Handle handle, FdFacts& facts) { vnodes_.unwatch(handle, facts.file_watch); }
    void take_files(void (*tell)(void*, Handle), void* context) { vnodes_.take(tell, context); }

    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& facts);
    void unwatch_process(ProcessFacts& facts) { pidfds_.forget(facts); }
    Errno hear_processes(bool on);

    void abandon_in_child();
    static void close_shared();

  private:
    static constexpr int kLanes = 2;

    Errno open_lane(int lane);
    Errno set_lane(int lane, int fd, uint32_t events, Handle handle, FdFacts& facts);

    int lanes_[kLanes] = {-1, -1};  // [0] is public; [1] is watched by it
    int timers_[kClocks] = {-1, -1};
    Nanos armed_[kClocks] = {kForever, kForever};  // what a timerfd is set to
    VnodeWatch vnodes_;
    Pidfds pidfds_;
};

}  // namespace kq

#endif
