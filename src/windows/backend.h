// SPDX-License-Identifier: BSD-2-Clause
// The kernel queue of Windows: a completion port. Contract: platform.h.
//
// Three handles for a kqueue: the port, both ends of the pipe that is the public descriptor. AFD
// polls the sockets: a handle for each 32 of them, and as many again for the process. Directories
// report on their files: a handle for each directory. Sources that no packet reports are looked at,
// and files are looked at as well. Deadlines are the timeouts of sleeping threads.
//
// Lock: the kqueue's mutex, except for what platform.h exempts.
#ifndef KQ_WINDOWS_BACKEND_H
#define KQ_WINDOWS_BACKEND_H

#include <span>

#include "children.h"
#include "file_set.h"
#include "looked.h"
#include "platform.h"
#include "port.h"
#include "socket_set.h"

namespace kq {

class Backend {
  public:
    static constexpr bool kHearsClose = true;
    // Edges are armed again by looking at them, and pipes are looked at.
    static constexpr bool kMaySleepFirst = false;
    static constexpr bool kTellsClosed = true;
    static const int kKqueue1Flags;
    static constexpr Capabilities kHas{.files = true, .processes = true, .signals = true};

    Backend() = default;
    ~Backend();
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Errno open(uint32_t tag);
    void close_unpublished();
    [[nodiscard]] int descriptor() const { return bell_ == nullptr ? -1 : bell_->number; }
    [[nodiscard]] bool exists() const { return bell_ != nullptr && bells::exists(*bell_); }

    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts);
    static bool reports_snapshots() { return true; }
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor, uint32_t tag) { return bells::ring(descriptor, tag); }

    static Errno prepare_clock(Clock /*clock*/) { return Errno::ok; }
    void settle(Nanos monotonic, Nanos realtime);

    Errno watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
        return files_.set(fd, wanted, handle, facts);
    }
    void take_files(FileSet::Tell tell, void* context) { files_.take(tell, context); }
    static bool files_told() { return false; }

    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& process);
    void unwatch_process(ProcessFacts& process) { children::unwatch(process); }
    static Errno hear_processes(bool /*on*/) { return Errno::unimplemented; }

    static Errno hear_signals() { return Errno::ok; }
    static bool is_queue(int descriptor) { return bells::tag_of(descriptor) != 0; }

  private:
    // FdFacts::registered, beside the bits of SocketSet.
    static constexpr uint8_t kLookedAt = 16;

    Errno watch_by_looking(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    void take_the_last();
    size_t collect_own(std::span<Wakeup> out, Nanos t);
    size_t collect_packets(std::span<Wakeup> out);
    size_t on_packet(const Packet& packet, std::span<Wakeup> out);

    Bell* bell_ = nullptr;
    mutable Port waiting_;
    SocketSet sockets_;
    LookedAt looked_at_;
    FileSet files_;
    Wakeup left_{};  // of a socket: there was no room for it
    bool is_left_ = false;
    bool looks_first_ = false;
    bool own_filled_ = false;      // collect_own() left no room for the rest last time
    bool is_unpublished_ = false;  // the public descriptor is ours to close
    Nanos deadline_[kCommonClocks] = {kForever, kForever};
};

}  // namespace kq

#endif
