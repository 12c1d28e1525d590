// SPDX-License-Identifier: BSD-2-Clause
// Bells: finds a kqueue of this process by its public number and rings it, without a lock. For
// signal handlers, and for threads that hold other locks.
//
// A Bell belongs to one Backend from take() to give_back(). Its memory is never freed, only used
// again, because post() and ring_for_children() walk through it in signal handlers. Threads that
// ring a bell are counted, so that it is not closed before they are done.
//
// take(), move(): the registry's mutex. post(), find(), ring_for_children(): any thread,
// async-signal-safe.
#ifndef KQ_POSIX_BELLS_H
#define KQ_POSIX_BELLS_H

#include <stdint.h>

#include <atomic>

#include "result.h"

namespace kq {

// Whether a bell was rung since it was heard. A thread that rings must make the descriptor readable
// before its call returns, even if another thread began to ring earlier and is not done. If a
// ring was heard before it ended, its finish() must not count as the next ring.
class RingState {
  public:
    // False: the bell is rung already, and the ring can be seen. True: the caller makes the
    // descriptor readable, and calls finish() if that succeeded.
    bool begin(uint32_t& seen) {
        seen = state_.load();
        while (seen % kStates == kQuiet && !state_.compare_exchange_weak(seen, seen + kRinging)) {
        }
        return seen % kStates != kRung;
    }
    void finish(uint32_t seen) {
        uint32_t mine = with(seen, kRinging);
        (void)state_.compare_exchange_strong(mine, with(seen, kRung));
    }
    // True if it was rung since the last hear().
    bool hear() {
        uint32_t seen = state_.load();
        while (!state_.compare_exchange_weak(seen, with(seen + kStates, kQuiet))) {
        }
        return seen % kStates != kQuiet;
    }
    [[nodiscard]] bool is_quiet() const { return state_.load() % kStates == kQuiet; }
    void reset() { state_.store(kQuiet); }

  private:
    // The low part of state_ says what was done since hear(). The rest counts the calls of hear().
    static constexpr uint32_t kQuiet = 0;
    static constexpr uint32_t kRinging = 1;  // a thread rings; the ring may not be seen yet
    static constexpr uint32_t kRung = 2;     // the ring can be seen
    static constexpr uint32_t kStates = 4;
    static constexpr uint32_t with(uint32_t state, uint32_t what) {
        return state / kStates * kStates + what;
    }

    std::atomic<uint32_t> state_{kQuiet};
};

// A backend may add members: in a struct that begins with this one.
struct Bell {
    std::atomic<uint32_t> tag{0};  // the tag of its kqueue; 0: no kqueue
    std::atomic<int> number{-1};   // the public descriptor
    RingState ring;
    std::atomic<uint32_t> rings{0};  // counts the rings
    std::atomic<int> ringers{0};
    // Whether it is rung when children exit: see children.cc.
    std::atomic<bool> hears_children{false};
    Bell* next_of_all = nullptr;  // a list that only grows
    Bell* next_free = nullptr;
};

namespace bells {

// ---- what the backend supplies ----

// A new bell of the backend's own kind; null: no memory.
Bell* make_one();
// Whether the public number still names this bell's kqueue. Async-signal-safe, like ring().
bool is_open(const Bell& bell);
// Makes the public descriptor readable, and wakes the sleepers.
void ring(Bell& bell);

// ---- what all have in common ----

// Takes a bell that belongs to no Backend; null: no memory.
Bell* take();
// From now on the bell belongs to no Backend. `waits`: waits for threads that are ringing it.
void silence(Bell& bell, bool waits);
void give_back(Bell& bell);

// Makes room for a number; after it move() to that number cannot fail.
bool reserve(int number);
// The public descriptor has this number now. no_memory: the number cannot be used for ringing.
Errno move(Bell& bell, int number);

// Rings the kqueue of this public number. An error if the number is not open any more, or if its
// kqueue has another tag.
Errno post(int number, uint32_t tag);
// The bell of a public number that still names a kqueue of this process; else null.
Bell* find(int number);
// Rings all bells that hear of children. True if there are any.
bool ring_for_children();

// The first of all bells, in use or not.
Bell* first();

// In a forked child: makes the lock anew, because any thread of the parent may have held it.
void abandon_in_child();

}  // namespace bells
}  // namespace kq

#endif
