// SPDX-License-Identifier: BSD-2-Clause
// Announcing: what outsiders see of one kqueue beyond what the kernel shows by itself.
//
// poll() on the public descriptor, threads that sleep and kqueues that watch this one must find it
// readable exactly while something is queued that the kernel does not know of. New activations
// *ring*, because all of these must notice each one. Knotes that are only left over, or were found
// by counting for a watching kqueue, are *held*: a ring would wake that kqueue for nothing, again
// and again.
//
// A ring may be *promised*. A woken thread would only wait for the mutex, so the call that is just
// ending rings after it has unlocked the mutex. At that time the knotes may have been taken off the
// queue, and the ring is not needed any more. The thread that sees this calls the promise off. Then
// either that thread collects the ring, or the thread that rings does.
//
// Locks: the kqueue's mutex; PromisedRings: none.
#ifndef KQ_ANNOUNCING_H
#define KQ_ANNOUNCING_H

#include <stdint.h>

#include <atomic>

#include "active_queue.h"
#include "backend.h"

namespace kq {

// Rings promised and not done yet. Any thread.
class PromisedRings {
  public:
    [[nodiscard]] bool any() const { return count_.load() > 0; }
    void promise() { count_.fetch_add(1); }
    void done() { count_.fetch_sub(1); }
    // Says that one of them is not needed any more. The other function asks whether that was said,
    // and forgets it.
    void call_off() { called_off_.store(true); }
    [[nodiscard]] bool was_called_off() { return called_off_.exchange(false); }

  private:
    std::atomic<int> count_{0};
    std::atomic<bool> called_off_{false};
};

// What comes before an announcement.
enum class After : uint8_t { changes, delivery, sleep, counting };

class Announcing {
  public:
    // Nothing is announced, and there is nothing that a look would clear up.
    [[nodiscard]] bool is_quiet() const { return (state_ & ~kPromised) == 0; }

    // The same, and nothing was promised.
    [[nodiscard]] bool is_silent() const { return state_ == 0; }
    // 0 if is_silent().
    [[nodiscard]] unsigned state() const { return state_; }

    // There was a ring, which was not collected, and nothing else is to be announced.
    [[nodiscard]] bool is_just_rung() const { return state_ == kRung; }

    // The kernel may show the queue as ready although nothing is pending any more. A look finds
    // that out.
    void note_stray() { set(kStray, true); }
    // A ring was collected.
    void note_heard(const PromisedRings& promised) {
        set(kRung, false);
        set(kStray, promised.any());  // one more will come, and there may be nothing by then
    }
    // There is a new kernel queue, which is held, and was not rung.
    void note_renewed(const PromisedRings& promised) {
        set(kRung, false);
        if (promised.any()) set(kStray, true);
        set(kHeld, true);
    }

    // Whether there was, or may be, a ring for something that was taken back since. Then the kqueue
    // has to collect before announce(), so that it takes in that ring itself. A promised one is
    // called off.
    [[nodiscard]] bool take_vain_ring(PromisedRings& promised, const ActiveQueue& active) {
        if ((state_ & (kRung | kStray)) == 0 || active.unbacked() != 0) return false;
        set(kStray, false);
        if (promised.any()) promised.call_off();
        return true;
    }
    // Rings, promises to ring, holds or releases, as needed. `lingers`: it is held in any case.
    // Fails only when the number is not our queue any more, which the call finds out by itself.
    void announce(Backend& backend, PromisedRings& promised, const ActiveQueue& active, After what,
                  bool lingers);

    // As announce(), for the first activation while all is silent, in a process with one thread.
    // False: the ring failed, and announce() must be called.
    bool ring_alone(Backend& backend, const ActiveQueue& active) {
        if (backend.announce(Announce::ring) != Errno::ok) return false;
        announced_ = active.activations();
        state_ = kRung;
        return true;
    }

    // Whether the call that is ending has promised a ring: it owes one to the others from now on.
    [[nodiscard]] bool take_promise() {
        if (!has(kPromised)) return false;
        set(kPromised, false);
        return true;
    }
    // The promised ring failed.
    void note_unrung() { set(kRung, false); }

  private:
    // Bits of one word, which most calls find to be 0.
    enum State : uint8_t {
        kRung = 1,      // and not collected yet
        kHeld = 2,      // Announce::hold
        kStray = 4,     // of note_stray(), not collected yet
        kPromised = 8,  // by the call that is just ending
    };
    [[nodiscard]] bool has(State bit) const { return (state_ & bit) != 0; }
    void set(State bit, bool on) {
        state_ = static_cast<uint8_t>(on ? state_ | bit : state_ & ~bit);
    }

    uint8_t state_ = 0;
    uint32_t announced_ = 0;  // ActiveQueue::activations() when last announced
};

}  // namespace kq

#endif
