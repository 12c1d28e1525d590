// One changelist entry: find, add, modify, delete, enable, disable, receipt.
// The EV_ rules of registration stand here and nowhere else (semantics 2.2, 3).
// Called by Kqueue::run under the kqueue's mutex.
#include "fd_watch.h"
#include "kqueue.h"
#include "trace.h"

namespace kq {
namespace {

// What a change can be answered because the number of the kqueue is not ours any more.
bool tells_of_closing(Errno error) {
    return error == Errno::bad_descriptor || error == Errno::invalid || error == Errno::no_entry;
}

}  // namespace

// Applies the changes in order. A failure or receipt takes a slot of the
// eventlist; where there is none left the call ends: `stopped`.
Result<int> Kqueue::apply_changes(const struct kevent* changes, int nchanges, struct kevent* events,
                                  int nevents, bool& stopped) {
    int written = 0;
    for (int i = 0; i < nchanges; i++) {
        // A copy: the eventlist may be the same array, and entry `written` <= i.
        struct kevent entry = changes[i];
        const bool question = entry.filter == EVFILT_LIBKQUEUE;
        const Errno error = question ? answer_library_question(entry) : register_change(entry);
        trace_change(descriptor(), changes[i], error);
        // No answer to a change, but to the call: the kqueue itself was closed.
        if (tells_of_closing(error) && !exists()) {
            stopped = true;
            return Errno::bad_descriptor;
        }
        const bool receipt = (changes[i].flags & EV_RECEIPT) != 0;
        if (error == Errno::ok && !question && !receipt) continue;
        if (written == nevents) {
            stopped = true;
            if (error != Errno::ok) return error;
            if (question) return Errno::fault;
            // A receipt nobody can get ends the call, the later changes unprocessed (D-43).
            return written;
        }
        if (error != Errno::ok || !question) {
            entry.flags |= EV_ERROR;
            entry.data = to_int(error);
        }
        events[written++] = entry;
    }
    stopped = written > 0;
    return written;
}

Errno Kqueue::register_change(const struct kevent& change) {
    const unsigned flags = change.flags;
    if ((flags & EV_ENABLE) != 0 && (flags & EV_DISABLE) != 0) return Errno::invalid;
    const FilterOps* ops = find_filter(change.filter);
    if (ops == nullptr) return Errno::invalid;
    if ((flags & EV_ADD) != 0 && (flags & EV_KEEPUDATA) != 0) return Errno::invalid;

    const Result<Knote*> found = ops->find(*this, change.ident);
    if (!found.ok()) return found.error();
    Knote* kn = found.value();
    if (kn == nullptr) {
        if ((flags & EV_ADD) == 0) return ops->absent(change.ident);
        return create_knote(*ops, change);
    }
    const bool remove = (flags & EV_DELETE) != 0;
    const Errno error = remove ? drop(*kn) : modify_knote(*ops, *kn, change);
    // The ident has come to mean something else since; its knotes are gone.
    if (error == Errno::no_entry && (flags & EV_ADD) != 0) return create_knote(*ops, change);
    return error;
}

Errno Kqueue::create_knote(const FilterOps& ops, const struct kevent& change) {
    // Filters without a descriptor would not notice that the kqueue was closed, the others would
    // register with whatever has its number now, unless they ask by themselves.
    const bool asks = (change.flags & EV_DISABLE) == 0 && ops.asks_queue != nullptr &&
                      ops.asks_queue(*this, change.ident);
    if (!asks && check_exists() != Errno::ok) return Errno::bad_descriptor;
    const Result<Knote*> created = ops.create(*this, change);
    if (!created.ok()) return created.error();
    Knote& kn = *created.value();
    kn.ident = change.ident;
    kn.filter = change.filter;
    kn.udata = change.udata;
    kn.flags = static_cast<uint16_t>(kn.flags | kept_flags(change.flags));
    if ((change.flags & EV_DISABLE) != 0) kn.set(kDisabled);
    const Errno error = ops.attach(*this, kn);
    if (error == Errno::ok) {
        knotes_.fetch_add(1);
    } else {
        deactivate(kn);
        ops.destroy(&kn);
    }
    return error;
}

// A change of an existing knote. Its nature (ONESHOT, CLEAR, DISPATCH, RECEIPT)
// stays what the creating EV_ADD said; so does being disabled, unless EV_ENABLE
// is given; what is pending stays pending.
Errno Kqueue::modify_knote(const FilterOps& ops, Knote& kn, const struct kevent& change) {
    // A bare EV_ENABLE or EV_DISABLE leaves the filter's request alone (D-11),
    // but for a trigger that comes with it. So does EV_FORCEONESHOT.
    const bool bare = (change.flags & EV_ADD) == 0 &&
                      (change.flags & (EV_ENABLE | EV_DISABLE | EV_FORCEONESHOT)) != 0;
    const bool triggers = change.filter == EVFILT_USER && (change.fflags & NOTE_TRIGGER) != 0;
    if (!bare || triggers) {
        const Errno error = ops.modify(*this, kn, change);
        if (error != Errno::ok) return error;
    }
    if ((change.flags & EV_ENABLE) != 0 && kn.has(kDisabled)) {
        kn.clear(kDisabled);
        const Errno error = ops.enable(*this, kn);
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
        ops.disable(*this, kn);
    }
    if ((change.flags & EV_KEEPUDATA) == 0) kn.udata = change.udata;
    if ((change.flags & EV_FORCEONESHOT) != 0) kn.set(kForced);
    if (kn.has(kForced)) force(kn);
    return Errno::ok;
}

// It waits on the queue for its report, whatever the change or its filter did to it.
void Kqueue::force(Knote& kn) {
    kn.flags |= EV_ONESHOT;
    set_backed(kn, false);  // the kernel knows nothing of it
    activate(kn);
}

}  // namespace kq
