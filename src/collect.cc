// SPDX-License-Identifier: BSD-2-Clause
// Gives the reports of the kernel to the knotes and other parts that they concern, and decides when
// enough reports were collected. Lock: the kqueue's mutex.
#include <stdlib.h>

#include <algorithm>

#include "alloc.h"
#include "fd_state.h"
#include "filter_fs.h"
#include "filter_proc.h"
#include "filter_signal.h"
#include "kqueue.h"
#include "scan.h"
#include "signal_hub.h"
#include "trace.h"

namespace kq {

namespace {

// Memory for the kernel's reports if there are more than a batch.
class Reports {
  public:
    Reports() = default;
    Reports(const Reports&) = delete;
    Reports& operator=(const Reports&) = delete;
    ~Reports() { free(array_); }

    // Room for `count` reports; an empty span if memory is short.
    std::span<Wakeup> make_room(size_t count) {
        if (!grow_array(array_, capacity_, count)) return {};
        return {array_, count};
    }

  private:
    Wakeup* array_ = nullptr;
    size_t capacity_ = 0;
};

constexpr size_t kGrowth = 4;

// Whether a wakeup says that it belongs to another queue: see note_collected() in capabilities.h.
bool is_of_another_queue(Handle handle, uint32_t tag) {
    return handle.generation() != 0 && handle.generation() != tag;
}

}  // namespace

Result<bool> Kqueue::take_in(std::span<Wakeup> room, Result<size_t> got, int wanted,
                             Report report) {
    call_.set_tick(coarse_tick());
    return take_in_inline(room, got, wanted, report);
}

// Whether the reports may be taken as they are. not_ours: the number names another queue.
Errno Kqueue::check_reports(std::span<Wakeup> room, Result<size_t> got, uint32_t stale_before,
                            Report report) {
    if (!got.ok())
        return got.error() == Errno::bad_descriptor && !exists() ? Errno::not_ours : got.error();
    // Some reports had handles that we did not give out, or that are out of date: is the number
    // still ours?
    if (call_.stale() == stale_before || exists()) return Errno::ok;
    if (report == &Backend::collect) keep_for_others(room.first(got.value()));
    return Errno::not_ours;
}

// The rest of take_in(). `batch` is the first batch, which was taken in already.
//
// If the kernel has filled the room, it is asked again with room for as many reports as are still
// wanted. The room is four times as large as before if the last reports activated nothing (stale
// reports, disabled knotes), or after kMaxBatches. So the loop ends even if sources become ready
// all the time: no source is twice in one answer, and at last the room is larger than the number of
// sources. With few sources it ends at once.
Result<bool> Kqueue::take_more(std::span<Wakeup> room, Result<size_t> got, Batch batch, int wanted,
                               Report report) {
    const uint32_t stale = batch.stale_before;
    Reports reports;
    size_t largest = room.size();
    bool rung = false;
    for (int batches = 1;; batches++) {
        const Errno error = check_reports(room, got, stale, report);
        if (error != Errno::ok) return error;
        // Taking signals rings this kqueue. That ring is collected, too, but only once.
        const bool rings = batch.signals && !rung;
        rung = rung || batch.signals;
        if (got.value() < room.size() && !rings) return false;
        if (active_.size() >= wanted) return true;
        size_t next = largest * kGrowth;
        if (active_.size() > batch.active_before && batches < kMaxBatches)
            next = std::min(std::max(static_cast<size_t>(wanted - active_.size()), size_t{kBatch}),
                            next);
        const std::span<Wakeup> more = reports.make_room(next);
        if (!more.empty()) {
            room = more;
            largest = std::max(largest, next);
        } else if (batch.repeats || batches >= kMaxBatches) {
            return true;  // with the room there is
        }
        got = (backend_.*report)(room);
        if (got.ok()) batch = take_batch(room.first(got.value()));
    }
}

// Handles a wakeup that is not of a descriptor.
void Kqueue::dispatch(const Wakeup& wakeup) {
    if (wakeup.handle.kind() == Handle::Kind::process) {
        proc::on_wakeup(*this, wakeup.handle);
        return;
    }
    if (is_of_another_queue(wakeup.handle, serial_)) note_stale();
    switch (wakeup.handle.kind()) {
        case Handle::Kind::announcement:
            if (wakeup.handle.index() > 1) note_stale();
            if (wakeup.handle.index() != 0) break;
            announcing_.note_heard(promised_);
            if (mailbox_ != nullptr) read_mailbox();
            take_told_files();
            break;
        case Handle::Kind::timers:
            if (wakeup.handle.index() < kClocks)
                expire_timers(static_cast<Clock>(wakeup.handle.index()));
            else
                note_stale();
            break;
        case Handle::Kind::signals:
            signal_hub::look_at_pending();
            break;
        case Handle::Kind::files:
            take_files();
            break;
        case Handle::Kind::processes:
            proc::hear(*this);
            break;
        case Handle::Kind::states:
            fd_state::hear(*this);
            break;
        case Handle::Kind::mounts:
            fs::hear(*this);
            break;
        default:  // a handle that we did not give out
            note_stale();
            break;
    }
}

// Takes the news that other parts of the process left for this kqueue: see mailbox.h.
void Kqueue::read_mailbox() {
    look_at_signals(*this);
    if (mailbox_->queue_was_renewed.exchange(false)) fd_watch::follow_renewed(*this);
    if (mailbox_->has_subscribed.load(std::memory_order_relaxed)) proc::read_letters(*this);
}

void Kqueue::expire_timers(Clock clock) {
    timers_.note_moved();  // the backend's timer has fired, perhaps too early
    const Nanos t = now(clock);
    while (TimerKnote* timer = timers_.take_due(clock, t))
        activate(*timer);
    timers_.share(clock);
    if (clock == Clock::monotonic) {
        if (parked_.deadline() > t) return;
        parked_.set_deadline(kForever);
        look_at(Parking::recheck, ParkedKnotes::kAll);
    } else if (clock == Clock::continuous) {
        settle_continuous(backend_, timers_.earliest(clock));
    }
}

// Looks at parked knotes: no kernel reports that the user has moved the offset of a regular file,
// nor some other conditions. Looks at each knote once, or until `most` in a row are not true.
void Kqueue::look_at(Parking where, int most) {
    parked_.look_at(where, most, [this](Knote& kn) KQ_NO_ANALYSIS {
        const uint32_t before = active_.activations();
        ops_of(kn)->look(*this, kn);
        return active_.activations() != before;
    });
}

}  // namespace kq
