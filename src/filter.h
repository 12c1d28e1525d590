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
    no_longer_true,  // nothing to report; off the queue until its source speaks again
    report,          // the event is filled in
    aside,           // so it is, but it is not what the knote stands for: it stays queued for that
    parked,          // not true, and the filter has put it on a list of its own
    gone,            // the ident is no more: the filter has already dropped the knote
};

struct FilterOps {
    const char* name;

    // The knote of this ident, or null. bad_descriptor and such if the ident can
    // have none. No change of state.
    Result<Knote*> (*find)(KnoteQueue& kq, uintptr_t ident);

    // What a change of a knote that does not exist is answered, without EV_ADD:
    // no_entry, or bad_descriptor if the ident cannot have one now.
    Errno (*absent)(uintptr_t ident);

    // EV_ADD, and there is none: a new knote with what the filter keeps of the
    // change, not yet indexed. May refuse. Touches no source.
    Result<Knote*> (*create)(KnoteQueue& kq, const struct kevent& change);

    // Indexes the knote and opens its source, unless it is disabled; samples it
    // at once if the source will not speak by itself. On failure the knote is
    // not indexed and the caller frees it.
    Errno (*attach)(KnoteQueue& kq, Knote& kn);

    // Takes the knote out of the index and closes its source. The answer is
    // what EV_DELETE returns: the knote goes away whatever it is.
    Errno (*detach)(KnoteQueue& kq, Knote& kn);

    // Frees the knote made by create().
    void (*destroy)(KnoteQueue& kq, Knote* kn);

    // EV_ADD, NOTE_TRIGGER or any change that is not just EV_ENABLE/EV_DISABLE,
    // on an existing knote. Refuses before it changes anything, else takes the
    // change over and activates the knote if that makes it true. no_entry: the
    // ident is not what it was, all its knotes are dropped, `kn` included.
    Errno (*modify)(KnoteQueue& kq, Knote& kn, const struct kevent& change);

    // The knote's kDisabled bit was just cleared or set. enable() starts the
    // source again and activates the knote if it is true; no_entry and
    // bad_descriptor as with modify. disable() may leave the source running.
    Errno (*enable)(KnoteQueue& kq, Knote& kn);
    void (*disable)(KnoteQueue& kq, Knote& kn);

    // Still true? Then fills event.fflags, .data and adds EV_EOF and such to
    // event.flags. With EV_CLEAR it also resets what it accumulated.
    Verdict (*process)(KnoteQueue& kq, Knote& kn, struct kevent& event);

    // A knote that process() had parked is looked at, off its list: activates it
    // if it is true, or parks it again. Null for filters that park none.
    void (*look)(KnoteQueue& kq, Knote& kn);

    // Whether attach() of an enabled knote is going to ask the kernel something that fails if
    // the number of the kqueue is not ours any more. Null: never.
    bool (*asks_queue)(KnoteQueue& kq, uintptr_t ident) = nullptr;
};

// The row for a filter number, or null if there is no such filter.
const FilterOps* find_filter(short filter);

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

// Whether all bits of `fflags` in a change are served, or such as no kernel looks at: `unsupported`
// if one of them is served by a native kernel and not by us, which is then said on stderr, once
// for each. Called by filters before they change anything. Any thread.
Errno check_notes(int16_t filter, uint32_t fflags);

// EVFILT_LIBKQUEUE has no knotes: a change is a question, `reply` becomes the
// answer. Errors as for a change. Under the kqueue's mutex.
Errno answer_library_question(KnoteQueue& kq, struct kevent& reply);

}  // namespace kq

#endif
