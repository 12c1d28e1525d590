// SPDX-License-Identifier: BSD-2-Clause
// One changelist entry: find, add, modify, delete, enable, disable, receipt.
// The EV_ rules of registration: see change.h.
// Called by Kqueue::run under the kqueue's mutex.
#include "change.h"
#include "fd_watch.h"
#include "kqueue.h"
#include "registry.h"
#include "trace.h"

namespace kq {
namespace {

// The errors that a change can have because the number of the kqueue is not ours any more.
bool tells_of_closing(Errno error) {
    return error == Errno::bad_descriptor || error == Errno::invalid || error == Errno::no_entry;
}

}  // namespace

// Answers a change that is a question to the library, failed, has EV_RECEIPT, or is traced.
// `written`: how many answers are in the list already. Returns how many there are then; -1: the
// call ends here, with the result `end`.
int Kqueue::answer_change(const struct kevent& change, Errno error, struct kevent* events,
                          int nevents, int written, Result<int>& end) {
    // A copy: the eventlist may be the same array, and entry `written` <= that of the change.
    struct kevent entry = change;
    const bool question = entry.filter == EVFILT_LIBKQUEUE;
    if (question) error = answer_library_question(*this, entry);
    trace_change(descriptor(), change, error);
    const bool receipt = (entry.flags & EV_RECEIPT) != 0;
    if (error == Errno::ok && !question && !receipt) return written;
    // The kqueue itself was closed, so the call fails, not the change. The changes that were
    // applied here are lost with it, so the whole call may begin again. It may not if answers were
    // written: they may have overwritten the changes.
    if (tells_of_closing(error) && !exists()) {
        end = written == 0 ? Errno::not_ours : Errno::bad_descriptor;
        return -1;
    }
    if (written == nevents) {
        // There is no room for this answer: the call ends, and later changes are not applied
        // (D-43).
        end = written;
        if (error != Errno::ok)
            end = error;
        else if (question)
            end = Errno::fault;
        return -1;
    }
    if (error != Errno::ok || !question) {
        entry.flags |= EV_ERROR;
        entry.data = to_int(error);
    }
    events[written] = entry;
    return written + 1;
}

template <class Verbs>
Errno Kqueue::create_knote(Verbs verbs, const struct kevent& change) {
    // Is the kqueue still open? Filters without a descriptor would not notice that it was closed.
    // The others would register with the file that has its number now, except if asks_queue() says
    // that registering checks it. Even that check fails if the number names another kqueue of ours
    // that watches the same descriptor.
    if (!call_.is_known_to_exist()) {
        const bool asks = !registry::several.load(std::memory_order_relaxed) &&
                          (change.flags & EV_DISABLE) == 0 && verbs.asks_queue(*this, change.ident);
        if (!asks && check_exists() != Errno::ok) return Errno::bad_descriptor;
    }
    const Result<Knote*> created = verbs.create(*this, change);
    if (!created.ok()) return created.error();
    Knote& kn = *created.value();
    kn.ident = change.ident;
    kn.set_filter(change.filter);
    kn.udata = change.udata;
    kn.flags = static_cast<uint16_t>(kn.flags | kept_flags(change.flags));
    if ((change.flags & EV_DISABLE) != 0) kn.set(kDisabled);
    const Errno error = verbs.attach(*this, kn);
    // For the first knote of a descriptor no backend opens a descriptor of its own.
    if (!is_of_descriptors(kn.filter) || kn.chain != nullptr) fd_watch::forget_opened(*this);
    if (error == Errno::ok) {
        note_made();
    } else {
        deactivate(kn);
        verbs.destroy(*this, &kn);
    }
    return error;
}

template Errno Kqueue::create_knote(OfDescriptors verbs, const struct kevent& change);
template Errno Kqueue::create_knote(ByTable verbs, const struct kevent& change);
template Errno Kqueue::create_knote(OfTimers verbs, const struct kevent& change);
template Errno Kqueue::create_knote(OfUsers verbs, const struct kevent& change);

// add_in_place(), out of line.
bool Kqueue::add_first(FdWatch& watch, const struct kevent& change, Errno& answer) {
    return add_in_place(watch, change, answer);
}

// As apply_changes(), for any number of changes.
Result<int> Kqueue::apply_list(const struct kevent* changes, int nchanges, struct kevent* events,
                               int nevents, bool& stopped) {
    int written = 0;
    for (int i = 0; i < nchanges; i++) {
        const Errno error = is_of_descriptors(changes[i].filter)
                                ? register_by<OfDescriptors, true>(changes[i])
                                : register_by<ByTable>(changes[i]);
        if (!is_to_be_answered(changes[i], error)) continue;
        Result<int> end = 0;
        written = answer_change(changes[i], error, events, nevents, written, end);
        stopped = written != 0;
        if (written < 0) return end;
    }
    return written;
}

// A change of a disabled knote that asks for something else and has EV_ENABLE. If the knote cannot
// be enabled, it goes on asking for what it asked for before.
Errno Kqueue::modify_and_enable(Knote& kn, const struct kevent& change) {
    const ByTable verbs(kn);
    const uint32_t fflags = kn.saved_fflags;
    const intptr_t data = kn.data;
    const uint8_t bits = kn.filter_bits;
    Errno error = verbs.modify(*this, kn, change);
    if (error != Errno::ok) return error;
    kn.clear(kDisabled);
    error = verbs.enable(*this, kn);
    if (error == Errno::ok) {
        if (kn.has(kActive)) activate(kn);
    } else if (!is_gone(error)) {  // otherwise it was dropped
        kn.set(kDisabled);
        kn.saved_fflags = fflags;
        kn.data = data;
        kn.filter_bits = bits;
    }
    return error;
}

// EV_FORCEONESHOT: queues the knote for its report, even if the change or its filter took it off
// the queue.
void Kqueue::force(Knote& kn) {
    kn.flags |= EV_ONESHOT;
    set_backed(kn, false);  // the kernel knows nothing of it
    activate(kn);
}

}  // namespace kq
