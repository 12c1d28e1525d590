// SPDX-License-Identifier: BSD-2-Clause
// ActiveQueue: the knotes of one kqueue that have something to report, in the order of their turns.
//
// A knote is on the queue exactly while it is marked kQueued. Knotes that are not kBacked, those
// that the kernel does not show by itself, are counted: as long as there are any, the kqueue has to
// be announced. Owned by the kqueue; filters reach it through KnoteQueue. Lock: the kqueue's mutex.
#ifndef KQ_ACTIVE_QUEUE_H
#define KQ_ACTIVE_QUEUE_H

#include "check.h"
#include "knote.h"
#include "list.h"

namespace kq {

class ActiveQueue {
  public:
    [[nodiscard]] bool empty() const { return knotes_.empty(); }
    // size(): the number of knotes, without the marker. unbacked(): how many of them are not
    // kBacked.
    [[nodiscard]] int size() const { return size_; }
    [[nodiscard]] bool has_none() const { return size_ == 0; }
    [[nodiscard]] int unbacked() const { return unbacked_; }
    // A number that changes with each activation.
    [[nodiscard]] uint32_t activations() const { return activations_; }

    // The source says true: to the tail, unless it is disabled or on the queue already.
    void activate(Knote& kn) {
        const unsigned status = kn.status | unsigned{kActive};
        if ((status & (kDisabled | kQueued)) != 0) {
            kn.status = static_cast<uint8_t>(status);
            return;
        }
        activations_++;
        append(kn, status);
    }
    // A knote is delivered at once, without going through the queue, which is empty: it counts as
    // an activation.
    void note_activation() { activations_++; }
    // As activate() and set_backed(), for a knote that is not active, not queued and not disabled.
    void activate_idle(Knote& kn, bool backed) {
        activations_++;
        const unsigned kept = kn.status & ~unsigned{kBacked};
        append(kn, kept | kActive | (backed ? unsigned{kBacked} : 0));
    }
    // Not active, and off the queue if it is there.
    void deactivate(Knote& kn) {
        kn.clear(kActive);
        if (kn.has(kQueued)) remove(kn);
    }
    // Puts a knote to the tail again after its turn. That is no activation.
    void put_back(Knote& kn) { append(kn, kn.status); }
    // Whether the kernel keeps reporting this knote by itself.
    void set_backed(Knote& kn, bool backed) {
        if (kn.has(kBacked) == backed) return;
        if (backed)
            kn.set(kBacked);
        else
            kn.clear(kBacked);
        if (kn.has(kQueued)) unbacked_ += backed ? -1 : 1;
    }

    // Marks the tail of the queue at the moment when it is made. Knotes that are queued later stand
    // behind it and wait for the next walk. So every knote gets its turn.
    class Marker : Link {
      public:
        explicit Marker(ActiveQueue& queue) { queue.knotes_.mark(*this); }
        ~Marker() { unlink(); }
        Marker(const Marker&) = delete;
        Marker& operator=(const Marker&) = delete;
        friend class ActiveQueue;
    };
    // The next knote before the marker, taken off the queue; null: no more.
    Knote* take(const Marker& end) {
        Knote* kn = knotes_.first_before(end);
        if (kn != nullptr) remove(*kn);
        return kn;
    }

    // The head of the queue, which must not be empty and must have no marker.
    [[nodiscard]] const Knote& head() { return *knotes_.front(); }
    // The only knote of the queue, taken off it. There must be exactly one knote, and no marker.
    Knote& take_only() {
        Knote* kn = knotes_.front();
        remove(*kn);
        return *kn;
    }

  private:
    void append(Knote& kn, unsigned status) {
        if ((status & kBacked) == 0) unbacked_++;
        size_++;
        kn.status = static_cast<uint8_t>(status | kQueued);
        knotes_.push_back(&kn);
    }
    void remove(Knote& kn) {
        if (!kn.has(kBacked)) unbacked_--;
        size_--;
        kn.clear(kQueued);
        kn.unlink();
    }

    List<Knote> knotes_;
    int size_ = 0;
    int unbacked_ = 0;
    uint32_t activations_ = 0;
};

}  // namespace kq

#endif
