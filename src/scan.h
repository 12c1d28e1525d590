// SPDX-License-Identifier: BSD-2-Clause
// The beginning of a call, inlined: the changes, a first look at the kernel, and the end of the
// call if the look finds nothing, which is the most frequent case. Included by api.cc and its
// headers, by scan.cc and by collect.cc. Lock: the kqueue's mutex, except for functions that take
// it themselves (kqueue.h).
//
// There is one stack frame between kevent() and the kernel, because each frame that is open across
// a system call costs time (linux/raw_call.h). Code that runs only if there are events is out of
// line.
#ifndef KQ_SCAN_H
#define KQ_SCAN_H

#include "change.h"
#include "fd_filter.h"
#include "fd_watch.h"
#include "kqueue.h"
#include "registry.h"
#include "trace.h"

namespace kq {

// How many reports the kernel is asked for first: about as many as the caller has room for, because
// a report that is taken too early has to be queued and announced. If such knotes are queued
// already, a whole batch is taken, so that queued knotes and those that the kernel reports anew
// each time get the same share. The same is done if the first reports led to no event:
// `again`.
inline size_t Kqueue::room_for(int wanted, bool again) const {
    const int missing = wanted - active_.size();
    const bool all = again || missing < 1 || missing > kBatch || active_.unbacked() > 0;
    return static_cast<size_t>(all ? kBatch : missing);
}

// One look at the kernel, without waiting. Fills `look`.
KQ_INLINE void Kqueue::look_now(Look& look, int nevents) {
    call_.next_pass();
    look.room = room_for(nevents, false);
    look.got = kq::look(backend_, {look.wakeups, look.room});
}

inline bool may_wait(const timespec* timeout) {
    return timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
}

// The first look of a call. It is left out if the call will most probably sleep: then the call goes
// on as if the look had found nothing. This is allowed only if the kqueue is at rest. Otherwise
// queued or parked knotes must be handed out, and the kernel does not know of all of them.
KQ_INLINE void Kqueue::look_first(Look& look, int nevents, const timespec* timeout) {
    if (Backend::kMaySleepFirst && __builtin_expect(sleep_habit_.is_usual(), 0) &&
        may_wait(timeout) && is_at_rest() && sleep_habit_.comes_first()) {
        look.room = room_for(nevents, false);
        look.got = 0;
        return;
    }
    look_now(look, nevents);
}

// ---- what a look has found ----

// Decides what happens to a knote after its event was reported with these flags.
template <class Verbs>
KQ_INLINE void Kqueue::note_reported(Verbs verbs, Knote& kn, unsigned flags) {
    if ((flags & (EV_ONESHOT | EV_DISPATCH)) != 0) {
        if ((flags & (EV_ONESHOT | EV_DISPATCH)) == EV_ONESHOT) {  // wins over CLEAR
            (void)verbs.drop(*this, kn);
            return;
        }
        if ((flags & EV_ONESHOT) != 0) return end_dispatched(kn);
        kn.clear(kActive);
        kn.set(kDisabled);
        verbs.disable(*this, kn);
    } else if ((kn.flags & EV_CLEAR) != 0 || kn.has(kBacked)) {
        kn.clear(kActive);
    } else {
        active_.put_back(kn);  // still true as far as is known: to the tail
    }
}

// Makes the processor load the data of the next two reports of a look while the kernel is asked
// about the present report. With thousands of descriptors the data is no longer in the caches. For
// the next report the knote is loaded; its watch was loaded in the turn before. For the report
// after that the watch is loaded.
KQ_INLINE void Kqueue::expect(std::span<Wakeup> room, size_t next, size_t got) {
    if (next + 1 < got)
        __builtin_prefetch(watches_.find(told_at<Backend>(room, next + 1).handle.index()), 1);
    const FdWatch* watch = watches_.find(told_at<Backend>(room, next).handle.index());
    if (watch == nullptr) return;
    const auto* knote = reinterpret_cast<const char*>(watch->notes);
    if (knote == nullptr) return;
    __builtin_prefetch(knote, 1);
    __builtin_prefetch(knote + sizeof(FdKnote) - 1, 1);
}

// The first reports of the kernel become events without going through the queue. This is allowed
// while nothing is queued and nothing is parked: then the knotes would leave the queue in the same
// order in which they were put there. Each is the only knote of its descriptor, so none
// comes twice, and the turn of one does not change another. `events` has room for as many events as
// there are wakeups. Returns how many wakeups were used; the others have to queue behind these
// events. `count`: how many events were written.
template <bool kAhead>
KQ_INLINE size_t Kqueue::deliver_straight(Look& look, struct kevent* events, int& count) {
    const std::span<Wakeup> room(look.wakeups, look.room);
    const auto got = static_cast<size_t>(look.got);
    size_t used = 0;
    struct kevent* event = events;
    for (; used < got; used++) {
        if (kAhead && used + 1 < got) expect(room, used + 1, got);
        FdWatch* watch = nullptr;
        FdKnote* kn = fd_watch::take_alone(*this, told_at<Backend>(room, used), watch);
        if (kn == nullptr) break;
        active_.note_activation();
        int64_t data = 0;
        const fd_filter::Plainly plainly = fd_filter::look_plainly(*this, *kn, watch->facts, data);
        if (__builtin_expect(plainly == fd_filter::Plainly::yes, 1)) {
            const uint16_t flags = kn->flags;
            *event++ = {kn->ident, kn->filter, flags, 0, static_cast<intptr_t>(data), kn->udata};
            note_reported(OfDescriptors(kn->filter), *kn, flags);
        } else if (plainly == fd_filter::Plainly::gone) {
            fd_watch::forget(*this, fd_watch::fd_of(*kn));
        } else if (deliver_judged(*kn, *event)) {
            event++;
        }
    }
    count = static_cast<int>(event - events);
    return used;
}

// Whether a wakeup, as told_at() returns it, is only an announcement, or only says that the backend
// has changes of files. Such a wakeup needs no further step in the backend.
inline bool is_news(const Wakeup& wakeup) {
    return wakeup.handle.kind() == Handle::Kind::announcement ||
           wakeup.handle.kind() == Handle::Kind::files;
}

// The rest of a pass: turns what a look has found into events. Returns how many; 0: none.
KQ_INLINE Result<int> Kqueue::hand_out(Look& look, struct kevent* events, int nevents) {
    const bool at_rest = active_.has_none() && parked_.empty();
    if (look.got == 0 && at_rest) return 0;
    // If the kernel has filled a whole batch and the caller has room for more, the kernel is asked
    // for more first.
    const bool straight = tells_once<Backend>() && at_rest && look.got > 0 && events != nullptr &&
                          (nevents <= kBatch || look.got < kBatch) &&
                          !trace_enabled(TraceLevel::events);
    size_t used = 0;
    int count = 0;
    if (look.got > 0) call_.set_tick(coarse_tick());
    if (straight) {
        const bool far = watches_.covers(kTooManyForCaches);
        used =
            far ? deliver_far(look, events, count) : deliver_straight<false>(look, events, count);
        const bool all = used == static_cast<size_t>(look.got);
        if (all && (count == nevents || (used < look.room && count != 0))) return count;
    }
    if (look.got == 1 && used == 0 && events != nullptr && !trace_enabled(TraceLevel::events)) {
        const Wakeup only = told_at<Backend>({look.wakeups, look.room}, 0);
        if (is_news(only)) return hand_out_news(look, only, events, nevents);
    }
    return hand_out_rest(look, used, events, nevents, count);
}

// Delivers what the first look has found. If that gives no event, goes on as the timeout says.
KQ_INLINE Result<int> Kqueue::scan_looked(Look& look, struct kevent* events, int nevents,
                                          const timespec* timeout, void (*cancelled)(void*)) {
    const Result<int> count = hand_out(look, events, nevents);
    if (!count.ok()) return count;
    if (count.value() != 0) {
        sleep_habit_.note_found();
        return count;
    }
    if (!may_wait(timeout) && mailbox_ == nullptr && !renewal_.is_due(call_.stale())) return count;
    return scan_on(look, events, nevents, timeout, cancelled);
}

// ---- a call without changes, inlined ----

KQ_INLINE bool Kqueue::is_at_rest() const KQ_NO_ANALYSIS {
    return active_.has_none() && parked_.empty() && announcing_.is_silent() &&
           !renewal_.is_due(call_.stale());
}

// If nothing came, the call has changed nothing in the kqueue, and nothing has to be settled.
KQ_INLINE bool Kqueue::looks_in_vain(Look& look, int nevents,
                                     const timespec* timeout) KQ_NO_ANALYSIS {
    look.stale = call_.stale();
    look_first(look, nevents, timeout);
    return look.got == 0 && !may_wait(timeout) && mailbox_ == nullptr && settles_times<Backend>();
}

KQ_INLINE bool Kqueue::finds_nothing(Look& look, int nevents,
                                     const timespec* timeout) KQ_NO_ANALYSIS {
    mutex_.lock_alone();
    call_.begin();
    if (!looks_in_vain(look, nevents, timeout)) return false;
    mutex_.unlock_alone();
    return true;
}

KQ_INLINE Result<int> Kqueue::finish(Look& look, struct kevent* events, int nevents,
                                     const timespec* timeout,
                                     void (*cancelled)(void*)) KQ_NO_ANALYSIS {
    const Result<int> result = scan_looked(look, events, nevents, timeout, cancelled);
    settle_and_end(After::delivery);
    return result;
}

// ---- any call ----

KQ_INLINE Result<int> Kqueue::run(const struct kevent* changes, int nchanges, struct kevent* events,
                                  int nevents, const timespec* timeout, void (*cancelled)(void*)) {
    return in_one_call([&](After& what) KQ_INLINE_LAMBDA KQ_NO_ANALYSIS {
        bool stopped = false;
        Result<int> result = 0;
        if (nchanges != 0) result = apply_changes(changes, nchanges, events, nevents, stopped);
        if (stopped || nevents == 0) return result;
        what = After::delivery;
        return scan(events, nevents, timeout, cancelled);
    });
}

KQ_INLINE Result<int> Kqueue::change(const struct kevent* changes, int nchanges) {
    return in_one_call([&](After& /*what*/) KQ_INLINE_LAMBDA KQ_NO_ANALYSIS {
        bool stopped = false;
        return apply_changes(changes, nchanges, nullptr, 0, stopped);
    });
}

// The result of a call with one change, if `error` is the result of that change.
KQ_INLINE Errno Kqueue::after_change(const struct kevent& change, Errno error) KQ_NO_ANALYSIS {
    if (__builtin_expect(error == Errno::ok, 1)) return error;
    Result<int> end = 0;
    (void)answer_change(change, error, nullptr, 0, 0, end);
    return end.error();
}

KQ_INLINE Errno Kqueue::end_change_alone(const struct kevent& change, Errno error) KQ_NO_ANALYSIS {
    error = after_change(change, error);
    if (__builtin_expect(is_settled(), 1))
        mutex_.unlock_alone();
    else
        settle_and_end_changes();
    return error;
}

template <class Verbs>
KQ_INLINE Errno Kqueue::change_one_alone(const struct kevent& change) KQ_NO_ANALYSIS {
    (void)renew_if_haunted();
    return end_change_alone(change, register_by<Verbs>(change));
}

template <class Verbs>
KQ_INLINE Errno Kqueue::change_one_among(const struct kevent& change) KQ_NO_ANALYSIS {
    (void)renew_if_haunted();
    const Errno error = after_change(change, register_by<Verbs>(change));
    if (__builtin_expect(is_settled(), 1))
        mutex_.unlock_among_threads();
    else
        settle_and_end_changes();
    return error;
}

template <class Verbs>
KQ_INLINE Errno Kqueue::change_found_alone(Knote* kn, const struct kevent& change) KQ_NO_ANALYSIS {
    (void)renew_if_haunted();
    const unsigned flags = change.flags;
    if (is_contradictory(flags)) return end_change_alone(change, Errno::invalid);
    if (is_specific(flags)) return end_change_alone(change, register_specific(change));
    return end_change_alone(change, register_found(Verbs(change.filter), kn, change));
}

template <class Verbs>
KQ_INLINE Result<int> Kqueue::run_one_begun(const struct kevent& change, struct kevent* events,
                                            int nevents, const timespec* timeout,
                                            void (*cancelled)(void*)) KQ_NO_ANALYSIS {
    (void)renew_if_haunted();
    const Errno error = register_by<Verbs>(change);
    Result<int> result = 0;
    int written = 0;
    if (__builtin_expect(is_to_be_answered(change, error), 0)) {
        written = answer_change(change, error, events, nevents, 0, result);
        if (written > 0) result = written;
    }
    if (written == 0) result = scan(events, nevents, timeout, cancelled);
    const After what = written == 0 ? After::delivery : After::changes;
    settle_and_end(what);
    return result;
}

// A call without changes.
KQ_INLINE Result<int> Kqueue::take(struct kevent* events, int nevents, const timespec* timeout,
                                   void (*cancelled)(void*)) {
    return in_one_call([&](After& what) KQ_INLINE_LAMBDA KQ_NO_ANALYSIS {
        what = After::delivery;
        return scan(events, nevents, timeout, cancelled);
    });
}

KQ_INLINE Result<int> Kqueue::take_begun(struct kevent* events, int nevents,
                                         const timespec* timeout,
                                         void (*cancelled)(void*)) KQ_NO_ANALYSIS {
    (void)renew_if_haunted();
    const Result<int> result = scan(events, nevents, timeout, cancelled);
    settle_and_end(After::delivery);
    return result;
}

// Gives each wakeup of one batch to its knotes.
KQ_INLINE Kqueue::Batch Kqueue::take_batch(std::span<const Wakeup> wakeups) {
    Batch batch{call_.stale(), active_.size(), false, false};
    trace_wakeups(descriptor(), wakeups);
    for (const Wakeup& wakeup : wakeups) {
        if (wakeup.handle.kind() == Handle::Kind::descriptor) {
            if (fd_watch::on_wakeup(*this, wakeup)) batch.repeats = true;
        } else {
            dispatch(wakeup);
            if (wakeup.handle.kind() == Handle::Kind::signals) batch.signals = true;
        }
    }
    return batch;
}

// Takes in the first `got` wakeups of `room`, which `report` has filled, then calls `report` again
// until the kernel has no more (false) or `wanted` knotes are queued (true: there may be more).
KQ_INLINE Result<bool> Kqueue::take_in_inline(std::span<Wakeup> room, Result<size_t> got,
                                              int wanted, Report report) {
    if (!got.ok()) return take_more(room, got, {call_.stale(), 0, false, false}, wanted, report);
    const Batch batch = take_batch(room.first(got.value()));
    // The simple cases of the loop in take_more().
    if (call_.stale() == batch.stale_before) {
        if (got.value() < room.size() && !batch.signals) return false;
        if (active_.size() >= wanted) return true;
    }
    return take_more(room, got, batch, wanted, report);
}

}  // namespace kq

#endif
