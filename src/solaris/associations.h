// SPDX-License-Identifier: BSD-2-Clause
// What one kqueue has associated with its port: PORT_SOURCE_FD.
//
// The kernel has one association for a port and a descriptor. So it carries the wishes of both
// directions, and is made again when one of them changes. It reports once what is true then, and is
// *spent*. Then settle() associates it again:
//   - directions by level at once: if they are still ready, the port is readable at once;
//   - edges that were reported stay out of it (spent_edges.h) until they were seen not ready;
//   - if nothing else is wanted, with no events at all: a *guard*, which reports a hangup;
//   - directions that are not wanted any more (one-shots that were reported) not at all.
// While there is an association, port_dissociate() tells whether the number still is the file that
// was associated: ok if it is; no_entry if the number was closed, because that ends associations.
// Where there is none, fstat() is asked.
//
// Used by Backend; the kqueue's mutex.
#ifndef KQ_SOLARIS_ASSOCIATIONS_H
#define KQ_SOLARIS_ASSOCIATIONS_H

#include <algorithm>
#include <atomic>
#include <span>

#include "platform.h"
#include "ports.h"
#include "slot_table.h"
#include "spent_edges.h"

namespace kq {

class Associations {
  public:
    Associations() = default;
    Associations(const Associations&) = delete;
    Associations& operator=(const Associations&) = delete;
    ~Associations();

    // As Backend::watch(), Backend::still(). `in_transit`: the kernel may have reported something
    // that has not come to report() yet.
    Errno watch(int port, int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts,
                bool in_transit);
    Errno still(int port, int fd, FdFacts& facts, bool in_transit);

    // An event of the port: writes the wakeups for the core. Those that do not fit come again.
    size_t report(int port, const port_event_t& event, std::span<Wakeup> out);
    // Edges that were reported and are news now.
    size_t look(int port, Nanos t, std::span<Wakeup> out, bool in_transit);
    // When to look() while nothing else happens. Any thread.
    [[nodiscard]] Nanos next_look() const {
        return std::min(edges_.next_look(), queues_look_at_.load(std::memory_order_relaxed));
    }

    // Before settle(): finds out when kqueues that are watched here have to be looked at.
    void plan();
    // Associates what was spent since the last call. False: some could not be associated, and need
    // another call soon.
    bool settle(int port);
    [[nodiscard]] bool is_settled() const { return to_arm_count_ == 0; }
    // Asks for one association whether the kernel still has it. True: it is gone, although the
    // number was not closed. So the others may be gone, too.
    bool probe(int port, bool in_transit);
    // Reports may be lost, and associations with them: settle() makes all of them again.
    void list_all();

  private:
    // All zero: nothing is known of the number.
    struct Place {
        Handle handle;
        uint32_t identity;       // of the file
        Mode mode[kDirections];  // what is wanted; a `once` that was reported is not
        uint8_t spent;           // directions whose edges were reported
        bool registered;
        uint8_t hangup[kDirections];  // of a reported edge: its kHangup and kFailed
        bool live;                    // armed in the kernel, or its event was not seen yet
        bool listed;                  // in to_arm_
        bool queue;                   // a kqueue
        Direction first;              // which direction has its turn, where there is room for one
    };

    Errno begin(int fd, FdFacts& facts, Place& place);
    Errno check(int port, int fd, Place& place, bool in_transit);
    Errno refusal(int fd, Errno error) const;
    void set_modes(int fd, Place& place, Interest want, uint8_t rearm, const FdFacts& facts);
    [[nodiscard]] static bool is_same_file(int fd, const Place& place);
    void leave(Place& place);
    void forget(int fd, Place& place);
    Errno arm(int port, int fd, Place& place);
    Errno arm_soon(int port, int fd, Place& place);
    bool list(int fd, Place& place);
    size_t drop_others(int port, std::span<Wakeup> found, bool in_transit);
    void look_at_queues(std::span<Wakeup> out, size_t& count);
    static bool concerns(const Place& place, Direction d, uint16_t ready);
    void tell(int fd, Place& place, Direction d, uint16_t ready, uint16_t seen, Wakeup& out);

    SlotTable<Place> places_;
    SpentEdges edges_;
    int* to_arm_ = nullptr;  // has room for all that are registered
    size_t to_arm_count_ = 0;
    size_t to_arm_capacity_ = 0;
    size_t registered_ = 0;
    int last_armed_ = -1;   // for probe()
    bool missing_ = false;  // found by check()
    // Kqueues that are watched, and when one of them has to be looked at.
    int* queues_ = nullptr;
    size_t queue_count_ = 0;
    size_t queue_capacity_ = 0;
    std::atomic<Nanos> queues_look_at_{kForever};
};

}  // namespace kq

#endif
