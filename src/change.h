// SPDX-License-Identifier: BSD-2-Clause
// One changelist entry, in place: find, modify, delete, enable, disable; what is made anew, and
// what is answered, is in change.cc. The EV_ rules of registration stand in these two files and
// nowhere else (semantics 2.2, 3). Under the kqueue's mutex. For scan.h and wide.cc.
#ifndef KQ_CHANGE_H
#define KQ_CHANGE_H

#include "fd_filter.h"
#include "kqueue.h"
#include "registry.h"
#include "trace.h"

namespace kq {

// Verbs of FilterOps, in place for most knotes, which are of descriptors.
constexpr bool is_of_descriptors(int16_t filter) {
    return filter == EVFILT_READ || filter == EVFILT_WRITE;
}
KQ_INLINE Result<Knote*> find_knote(KnoteQueue& kq, const FilterOps& ops,
                                    const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    if (is_of_descriptors(change.filter)) return fd_filter::find(kq, change.ident, change.filter);
    return ops.find(kq, change.ident);
}
KQ_INLINE Errno enable_knote(KnoteQueue& kq, const FilterOps& ops, Knote& kn)
    KQ_REQUIRES(kq.mutex()) {
    return is_of_descriptors(kn.filter) ? fd_filter::enable(kq, kn) : ops.enable(kq, kn);
}
KQ_INLINE void disable_knote(KnoteQueue& kq, const FilterOps& ops, Knote& kn)
    KQ_REQUIRES(kq.mutex()) {
    if (is_of_descriptors(kn.filter))
        fd_filter::disable(kq, kn);
    else
        ops.disable(kq, kn);
}

// A change of an existing knote. Its nature (ONESHOT, CLEAR, DISPATCH, RECEIPT)
// stays what the creating EV_ADD said; so does being disabled, unless EV_ENABLE
// is given; what is pending stays pending.
KQ_INLINE Errno Kqueue::modify_knote(const FilterOps& ops, Knote& kn, const struct kevent& change) {
    // A bare EV_ENABLE or EV_DISABLE leaves the filter's request alone (D-11),
    // except a trigger that comes with it. So does EV_FORCEONESHOT.
    const bool bare = (change.flags & EV_ADD) == 0 &&
                      (change.flags & (EV_ENABLE | EV_DISABLE | EV_FORCEONESHOT)) != 0;
    const bool triggers = change.filter == EVFILT_USER && (change.fflags & NOTE_TRIGGER) != 0;
    if (!bare || triggers) {
        const Errno error = ops.modify(*this, kn, change);
        if (error != Errno::ok) return error;
    }
    if ((change.flags & EV_ENABLE) != 0 && kn.has(kDisabled)) {
        kn.clear(kDisabled);
        const Errno error = enable_knote(*this, ops, kn);
        if (is_gone(error)) return error;  // and dropped
        if (error != Errno::ok) {
            kn.set(kDisabled);
            return error;
        }
        if (kn.has(kActive)) activate(kn);
    } else if ((change.flags & EV_DISABLE) != 0 && !kn.has(kDisabled)) {
        kn.set(kDisabled);
        const bool was_active = kn.has(kActive);
        deactivate(kn);
        if (was_active) kn.set(kActive);  // remembered until EV_ENABLE; not queued meanwhile
        disable_knote(*this, ops, kn);
    }
    if ((change.flags & EV_KEEPUDATA) == 0) kn.udata = change.udata;
    if ((change.flags & EV_FORCEONESHOT) != 0) kn.set(kForced);
    if (kn.has(kForced)) force(kn);
    return Errno::ok;
}

KQ_INLINE Errno Kqueue::register_change(const struct kevent& change) {
    const unsigned flags = change.flags;
    if ((flags & EV_ENABLE) != 0 && (flags & EV_DISABLE) != 0) return Errno::invalid;
    const FilterOps* ops = find_filter(change.filter);
    if (ops == nullptr) return Errno::invalid;
    if ((flags & EV_ADD) != 0 && (flags & EV_KEEPUDATA) != 0) return Errno::invalid;

    const Result<Knote*> found = find_knote(*this, *ops, change);
    if (!found.ok()) return found.error();
    Knote* kn = found.value();
    if (kn == nullptr) {
        if ((flags & EV_ADD) == 0) return ops->absent(change.ident);
        return create_knote(*ops, change);
    }
    // It would be changed in the place of another queue's.
    if (registry::several.load(std::memory_order_relaxed) && check_exists() != Errno::ok)
        return Errno::bad_descriptor;
    const bool remove = (flags & EV_DELETE) != 0;
    const Errno error = remove ? drop(*kn) : modify_knote(*ops, *kn, change);
    // The ident has come to mean something else since; its knotes are gone.
    if (error == Errno::no_entry && (flags & EV_ADD) != 0) return create_knote(*ops, change);
    return error;
}

// Applies the changes in order. A failure or receipt takes a slot of the
// eventlist; where there is none left the call ends: `stopped`.
KQ_INLINE Result<int> Kqueue::apply_changes(const struct kevent* changes, int nchanges,
                                            struct kevent* events, int nevents, bool& stopped) {
    int written = 0;
    for (int i = 0; i < nchanges; i++) {
        const Errno error = register_change(changes[i]);
        const bool receipt = (changes[i].flags & EV_RECEIPT) != 0;
        if (error == Errno::ok && !receipt && !trace_enabled(TraceLevel::trouble)) continue;
        Result<int> end = 0;
        written = answer_change(changes[i], error, events, nevents, written, end);
        stopped = written != 0;
        if (written < 0) return end;
    }
    return written;
}

}  // namespace kq

#endif
