// SPDX-License-Identifier: BSD-2-Clause
// The contract of a filter.
//
// A filter knows what an ident means and when it is active. It never looks at
// EV_DISPATCH or EV_ONESHOT, never queues, never delivers: the core does that
// for all of them (change.cc, scan.cc). All verbs run under the mutex of the
// kqueue, so a filter needs no lock of its own.
#ifndef KQ_FILTER_H
#define KQ_FILTER_H

#include <sys/event.h>

#include "alloc.h"
#include "knote.h"
#include "result.h"

namespace kq {

class KnoteQueue;

// What a filter says when its turn comes at the head of the active queue.
enum class Verdict : uint8_t {
    no_longer_true,  // nothing to report; off the queue until its source reports again
    report,          // the event is filled in
    aside,   // the event is filled in, but the knote has another event to report: it stays queued
             // for that
    parked,  // not true, and the filter has put it on a list of its own
    gone,    // the ident is no more: the filter has already dropped the knote
};

struct FilterOps {
    const char* name;

    // The knote of this ident that is not EV_UDATA_SPECIFIC, or null. bad_descriptor and other
    // errors: the ident cannot have a knote. Changes no state. The others: specific.h.
    Result<Knote*> (*find)(KnoteQueue& kq, uintptr_t ident);

    // The answer to a change without EV_ADD if there is no such knote: no_entry, or bad_descriptor
    // if the ident cannot have one now.
    Errno (*absent)(uintptr_t ident);

    // EV_ADD, and there is no such knote: makes one, with the values that the filter keeps of the
    // change. It is not indexed yet, and its source is not touched. May refuse.
    Result<Knote*> (*create)(KnoteQueue& kq, const struct kevent& change);

    // Indexes the knote and opens its source, unless the knote is disabled. If the source will not
    // report by itself, looks at it at once. On failure the knote is not indexed and the caller
    // frees it.
    Errno (*attach)(KnoteQueue& kq, Knote& kn);

    // Takes the knote out of the index and closes its source. The result is the answer to
    // EV_DELETE; the knote ends even if it is an error.
    Errno (*detach)(KnoteQueue& kq, Knote& kn);

    // Frees the knote made by create().
    void (*destroy)(KnoteQueue& kq, Knote* kn);

    // EV_ADD, NOTE_TRIGGER or any change that is not just EV_ENABLE/EV_DISABLE, on an existing
    // knote. It may refuse, and then changes nothing. Otherwise it takes the change over, and
    // activates the knote if that makes it true. no_entry: the ident names something else now, and
    // all its knotes were dropped, `kn` included.
    Errno (*modify)(KnoteQueue& kq, Knote& kn, const struct kevent& change);

    // The knote's kDisabled bit was just cleared or set. enable() starts the
    // source again and activates the knote if it is true; no_entry and
    // bad_descriptor as with modify. disable() may leave the source running.
    Errno (*enable)(KnoteQueue& kq, Knote& kn);
    void (*disable)(KnoteQueue& kq, Knote& kn);

    // Called at the knote's turn. If the knote is still true, fills event.fflags and event.data,
    // and adds EV_EOF and the like to event.flags. With EV_CLEAR it also resets what the knote has
    // accumulated.
    Verdict (*process)(KnoteQueue& kq, Knote& kn, struct kevent& event);

    // A knote that process() had parked is looked at, off its list: activates it
    // if it is true, or parks it again. Null for filters that park none.
    void (*look)(KnoteQueue& kq, Knote& kn);

    // Whether attach() of an enabled knote makes a system call that fails if the number of the
    // kqueue is not ours any more. Null: never.
    bool (*asks_queue)(KnoteQueue& kq, uintptr_t ident) = nullptr;

    // For knotes that are indexed, in a forked child that inherits the kqueue (fork_copy.cc). Null:
    // there is nothing to be done.
    // forsake(): the source is the parent's. Forgets it.
    void (*forsake)(KnoteQueue& kq, Knote& kn) = nullptr;
    // inherit(): opens the source again, for the child. A pending event stays pending. On failure
    // the source is closed. Then the core frees the knote, or gives the kqueue up if descriptors or
    // memory are short.
    Errno (*inherit)(KnoteQueue& kq, Knote& kn) = nullptr;
};

// The row for a filter number, or null if there is no such filter.
const FilterOps* find_filter(short filter);
// The row of a knote, which may be one of farewell.h.
const FilterOps* ops_of(const Knote& kn);

// `absent` of filters whose idents are just numbers.
inline Errno never_added(uintptr_t /*ident*/) {
    return Errno::no_entry;
}

// `destroy` of a filter whose knotes are Ts.
template <class T>
void destroy_as(KnoteQueue& /*kq*/, Knote* kn) {
    Owned<T>(static_cast<T*>(kn)).reset();
}

// One per filter file.
extern const FilterOps kReadFilter;
extern const FilterOps kWriteFilter;
extern const FilterOps kVnodeFilter;
extern const FilterOps kTimerFilter;
extern const FilterOps kUserFilter;
extern const FilterOps kSignalFilter;
extern const FilterOps kProcFilter;
extern const FilterOps kFsFilter;
extern const FilterOps kExceptFilter;
extern const FilterOps kEmptyFilter;
extern const FilterOps kProcdescFilter;
extern const FilterOps kMissingAio;
extern const FilterOps kMissingNetdev;
extern const FilterOps kMissingLio;
extern const FilterOps kFarewell;

// Checks the bits of `fflags` in a change. unsupported: a native kernel serves one of them and we
// do not; a line on stderr says so, once for each. Bits that no kernel knows are accepted. Called
// by filters before they change anything. Any thread.
Errno check_notes(int16_t filter, uint32_t fflags);

// EVFILT_LIBKQUEUE has no knotes: a change is a question. `reply` is the change, and becomes the
// answer. Errors as for a change. Under the kqueue's mutex.
Errno answer_library_question(KnoteQueue& kq, struct kevent& reply);

}  // namespace kq

#endif
