// SPDX-License-Identifier: BSD-2-Clause
// Port: waiting on the completion port of a kqueue, by many threads at once.
//
// To wait on a port is to take a packet out of it. So a sleeping thread puts what it took into the
// inbox, until a thread collects. One packet wakes one thread. That is enough, because a woken
// thread collects, and wakes the next one if anything is left.
//
// Each sleeping thread waits for the deadlines that were set when its sleep began. If an earlier
// deadline is set later, one sleeping thread is woken to wait for that.
//
// sleep() is called without the kqueue's mutex; all else under it. Lock: one for the sleepers,
// under which no other is taken.
#ifndef KQ_WINDOWS_PORT_H
#define KQ_WINDOWS_PORT_H

#include <span>

#include "alarm.h"
#include "bell.h"
#include "inbox.h"
#include "nanos.h"
#include "result.h"

namespace kq {

// What was taken out of a port.
struct Packet {
    uintptr_t key;
    void* object;
    uintptr_t bytes;
    long status;
};

class Port {
  public:
    Port() = default;
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    void use(Bell& bell) { bell_ = &bell; }

    // At the end, before the bell is closed, when no thread sleeps any more.
    void close() KQ_NO_ANALYSIS { alarm_.close(); }

    // As Backend::sleep().
    Errno sleep(Nanos t) KQ_EXCLUDES(mutex_);

    // Takes the packets there are, as many as fit; those that sleepers took come first. If there is
    // none, waits for one at most so long.
    size_t take(std::span<Packet> out, Nanos t = 0);

    // The next moment at which a sleeping thread has to wake and collect, on each clock.
    void set_deadlines(Nanos monotonic, Nanos realtime) KQ_EXCLUDES(mutex_);

    // Wakes a thread if there is a reason not to sleep.
    void wake_if_needed();

  private:
    struct Sleeper {
        Nanos until;  // monotonic
        Sleeper* next;
    };
    static constexpr uint32_t kAnyReason = 0xffffffffu;

    Nanos adopt(Sleeper& me, Nanos end) KQ_EXCLUDES(mutex_);
    void leave(const Sleeper& me) KQ_EXCLUDES(mutex_);
    bool wait(Nanos until, Packet& packet) const;

    Bell* bell_ = nullptr;
    Inbox<Packet> inbox_;
    std::atomic<size_t> kept_{0};  // packets in the inbox
    Mutex mutex_;
    Sleeper* sleepers_ KQ_GUARDED_BY(mutex_) = nullptr;
    Alarm alarm_ KQ_GUARDED_BY(mutex_);
    Nanos monotonic_ KQ_GUARDED_BY(mutex_) = kForever;
    Nanos realtime_ KQ_GUARDED_BY(mutex_) = kForever;
};

}  // namespace kq

#endif
