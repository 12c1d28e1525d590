// SPDX-License-Identifier: BSD-2-Clause
// The usual changes, and the usual report of a user event, in one pass.
//
// These functions have the effect of register_change() and settle(), or of scan(), in cases where
// most of that work is known to be unnecessary. Each function first tests all its conditions. If
// one of them is not met, the function answers `false` and has done nothing. Then the call goes on
// as any other. Included by api.cc and among_threads.h. All except switch_at_once() are for
// processes with one thread. Calls that are traced do not come here. errno may be changed only by
// add_at_once(), by delete_at_once(), and by add_timer_at_once() if it answers `false`. Lock: the
// kqueue's mutex.
#ifndef KQ_AT_ONCE_H
#define KQ_AT_ONCE_H

#include "fd_filter.h"
#include "filter_timer.h"
#include "filter_user.h"
#include "scan.h"

namespace kq {

KQ_INLINE void Kqueue::begin_alone() KQ_NO_ANALYSIS {
    mutex_.lock_alone();
    call_.begin();
}

// Whether changes may be applied at once: the call has nothing to do except the change, and the
// number of this kqueue cannot name another one.
KQ_INLINE bool Kqueue::may_hurry() const KQ_NO_ANALYSIS {
    return settles_times<Backend>() && !renewal_.is_due(call_.stale()) &&
           !registry::several.load(std::memory_order_relaxed);
}

// EV_ENABLE or EV_DISABLE, and nothing else, of a READ or WRITE knote that waits nowhere. If it is
// enabled it is still armed (fd_filter::enable()). Nothing becomes pending, and nothing that was
// pending is taken back. So everything that the last call has settled is still settled.
KQ_INLINE bool Kqueue::switch_at_once(const struct kevent& change) KQ_NO_ANALYSIS {
    const bool enables = change.flags == EV_ENABLE;
    if ((!enables && change.flags != EV_DISABLE) || change.ident > INT_MAX || !may_hurry())
        return false;
    const FdWatch* watch = watches_.find(change.ident);
    auto* kn = watch == nullptr
                   ? nullptr
                   : static_cast<FdKnote*>(fd_watch::plain_note_of(*watch, change.filter));
    if (kn == nullptr) return false;
    if (enables) {
        if (kn->status != kDisabled) return false;
        kn->status = 0;
        if (!fd_filter::is_still_armed(watch->facts, *kn)) {
            kn->status = kDisabled;
            return false;
        }
    } else {
        const unsigned others = kn->status & ~unsigned{kBacked};
        if (others != 0 || (kn->filter_bits & kWatched) != 0) return false;
        kn->status = kDisabled;
    }
    kn->udata = change.udata;
    return true;
}

// EV_ADD of the first knote of a descriptor.
KQ_INLINE bool Kqueue::add_at_once(const struct kevent& change, Errno& answer) KQ_NO_ANALYSIS {
    if (renewal_.is_due(call_.stale())) return false;
    FdWatch* watch = watches_.find(change.ident);
    return watch != nullptr && add_in_place(*watch, change, answer);
}

// EV_DELETE of the only knote of a descriptor.
KQ_INLINE bool Kqueue::delete_at_once(const struct kevent& change, Errno& answer) KQ_NO_ANALYSIS {
    if (change.flags != EV_DELETE || renewal_.is_due(call_.stale())) return false;
    FdWatch* watch = watches_.find(change.ident);
    return watch != nullptr && fd_filter::drop_usually(*this, *watch, change, answer);
}

// NOTE_TRIGGER of a knote that is idle. The caller must call ring_at_once().
KQ_INLINE bool Kqueue::trigger_at_once(Knote* kn, const struct kevent& change) KQ_NO_ANALYSIS {
    if (kn == nullptr || kn->status != 0 || change.flags != 0) return false;
    if ((change.fflags & NOTE_TRIGGER) == 0 || !may_hurry()) return false;
    user::take_over(*kn, change);
    kn->udata = change.udata;
    active_.activate_idle(*kn, false);
    return true;
}

// EV_ADD of a timer that waits and goes on waiting: a timeout that is put off. Nothing becomes
// pending. The caller must call end_at_once().
KQ_INLINE bool Kqueue::put_off_at_once(Knote& kn, const struct kevent& change) KQ_NO_ANALYSIS {
    if (kn.status != 0 || !may_hurry()) return false;
    if ((change.flags & ~(EV_ADD | EV_ONESHOT | EV_CLEAR)) != 0) return false;
    if (!timer::push_back(*this, static_cast<TimerKnote&>(kn), change)) return false;
    kn.udata = change.udata;
    return true;
}

// EV_ADD of a timer that is not there yet. add_plain() asks whether the number of the kqueue is
// still its own. The caller must call end_at_once().
KQ_INLINE bool Kqueue::add_timer_at_once(const struct kevent& change) KQ_NO_ANALYSIS {
    constexpr unsigned kMay = EV_ENABLE | EV_ONESHOT | EV_CLEAR | EV_DISPATCH;
    if (!settles_times<Backend>() || renewal_.is_due(call_.stale())) return false;
    return (change.flags & ~kMay) == EV_ADD && timer::add_plain(*this, change);
}

// Unlocks if the backend need not be told of a deadline. False: the caller must call
// settle_and_end_changes(). The last call has told the backend all times, so only the time that
// this change has set can be new.
KQ_INLINE bool Kqueue::end_at_once() KQ_NO_ANALYSIS {
    if (timers_.moved()) {
        const Nanos earliest = timers_.earliest(Clock::monotonic);
        if (!wakes_by(backend_, Clock::monotonic, earliest)) return false;
        timers_.note_told();
    }
    mutex_.unlock_alone();
    return true;
}

// Announces the queued knote, and unlocks, if it is the only one to be announced. False: the caller
// must call settle_and_end_changes().
KQ_INLINE bool Kqueue::ring_at_once() KQ_NO_ANALYSIS {
    const bool first = active_.unbacked() == 1 && announcing_.is_silent();
    if (!first || timers_.moved() || astray_count_ != 0) return false;
    if (!announcing_.ring_alone(backend_, active_)) return false;
    mutex_.unlock_alone();
    return true;
}

// Whether the kqueue has only one triggered EV_CLEAR knote, which was announced by a ring, and
// nothing else.
KQ_INLINE bool Kqueue::has_one_trigger() KQ_NO_ANALYSIS {
    if (active_.size() != 1 || !announcing_.is_just_rung() || !parked_.empty()) return false;
    if (mailbox_ != nullptr || !settles_times<Backend>() || renewal_.is_due(call_.stale()))
        return false;
    const Knote& kn = active_.head();
    return kn.filter == EVFILT_USER && kn.filter_bits == user::kTriggered &&
           kn.status == (kActive | kQueued) &&
           (kn.flags & (EV_CLEAR | EV_ONESHOT | EV_DISPATCH)) == EV_CLEAR;
}

// A call without changes, for the case that has_one_trigger() is true: looks at the kernel. If the
// kernel has only the ring, the knote is reported, and the mutex is free. False: the mutex is held,
// and the caller must call finish().
KQ_INLINE bool Kqueue::take_trigger(Look& look, struct kevent& event, int nevents) KQ_NO_ANALYSIS {
    begin_alone();
    // A signal handler may have used the kqueue since the question.
    const bool has_one = has_one_trigger();
    look.stale = call_.stale();
    look_now(look, nevents);
    if (!has_one || look.got != 1) return false;
    const Handle told = told_at<Backend>({look.wakeups, look.room}, 0).handle;
    const Handle ring(Handle::Kind::announcement, 0, serial());
    if (told.bits() != ring.bits()) return false;
    announcing_.note_heard(promised_);
    if (take_told_files()) {
        look.got = 0;  // the ring was dispatched; finish() delivers
        return false;
    }
    Knote& kn = active_.take_only();
    kn.status = 0;
    kn.filter_bits = 0;
    event = {kn.ident, kn.filter, kn.flags, kn.fflags, kn.data, kn.udata};
    mutex_.unlock_alone();
    return true;
}

}  // namespace kq

#endif
