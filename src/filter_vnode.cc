// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE: what happens to a file or directory (semantics 5.5).
//
// The knote hangs on the FdWatch of its descriptor. The backend says that something happened. Then
// the file is looked at and compared with its earlier state (vnode_hints.cc). The changes that were
// asked for accumulate in Knote::fflags, even while the knote is disabled. Called through FilterOps
// and by fd_watch.cc, under the kqueue's mutex.
#include "fd_filter.h"
#include "vnode.h"
#include "vnode_hints.h"

namespace kq {
namespace {

using fd_watch::fd_of;
using fd_watch::forget;
using fd_watch::watch_file;
using fd_watch::watch_of;

// Bits that no system defines are ignored, as the kernels do.
constexpr uint32_t kAllNotes = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK |
                               NOTE_RENAME | NOTE_REVOKE | NOTE_TRUNCATE | NOTE_CLOSE |
                               NOTE_CLOSE_WRITE | NOTE_READ | NOTE_OPEN;

// Knote::filter_bits.
constexpr uint8_t kRevoked = 1;  // the file system is gone: EV_EOF, and active for good

struct VnodeKnote : Knote {
    FileState state;    // at the last look
    uint32_t pass = 0;  // KnoteQueue::pass() at that look
    uint32_t owed = 0;  // FileChange bits that were told when the file could not be looked at
};

bool is_true(const Knote& kn) {
    return kn.fflags != 0 || (kn.filter_bits & kRevoked) != 0;
}

// Looks at the file. Errors as of descriptor::check_same().
Errno look(KnoteQueue& kq, VnodeKnote& kn, FileState& now, bool name) KQ_REQUIRES(kq.mutex()) {
    const Errno error = descriptor::file_state(fd_of(kn), watch_of(kq, kn).facts, now);
    if (error != Errno::ok) return error;
    now.name =
        name && (kn.saved_fflags & NOTE_RENAME) != 0 ? descriptor::name(fd_of(kn)) : kn.state.name;
    kn.pass = kq.pass();
    return error;
}

// Tells the backend what the knote wants now, and then looks at the file. In this order nothing
// that comes after the look is lost.
Errno watch_and_look(KnoteQueue& kq, VnodeKnote& kn, FileState& now) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    const bool known = watch.facts.kind != FdKind::unknown;
    const Errno refused = watch_file(kq, fd, watch);
    const Errno error = look(kq, kn, now, true);
    if (error != Errno::ok) return error;
    if (!now.named) return Errno::invalid;
    if (refused != Errno::ok || known || !now.directory) return refused;
    // Only the look says that this is a directory, of which other things have to be watched. If the
    // first watch was shared, so is this one.
    const bool shared = watch.facts.file_shared;
    const Errno again = watch_file(kq, fd, watch);
    watch.facts.file_shared = watch.facts.file_shared || shared;
    return again == Errno::ok ? look(kq, kn, now, true) : again;
}

// Whether the file has to be looked at because nothing tells of its changes.
bool is_untold(KnoteQueue& kq, const Knote& kn) KQ_REQUIRES(kq.mutex()) {
    return watch_of(kq, kn).facts.file_untold || static_cast<const VnodeKnote&>(kn).owed != 0;
}

// Such a file is looked at every now and then.
void park_if_untold(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (is_untold(kq, kn) && !kn.has(kQueued) && !kn.has(kParked)) kq.park(kn, Parking::recheck);
}

// Something happened: accumulates what there is to report. If the descriptor is closed or is
// another file, all its knotes are dropped, and is_gone() is true for the result. Other errors: the
// file could not be looked at now, and will be later.
Errno update(KnoteQueue& kq, VnodeKnote& kn, uint32_t changes) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    changes |= kn.owed;
    // A directory may have been removed from its new place before that place was watched.
    if ((changes & kMoved) != 0 && kn.state.directory) {
        (void)watch_file(kq, fd, watch_of(kq, kn));
        changes |= kRemoved;
    }
    FileState now;
    const Errno error = look(kq, kn, now, (changes & (kMoved | kUnknown | kLost)) != 0);
    if (is_gone(error)) {
        forget(kq, fd);
        return error;
    }
    kn.owed = error == Errno::ok ? 0 : changes;
    if (error != Errno::ok) return error;
    if (changes == kModified && !now.directory && !kn.state.directory) {
        kn.fflags |= vnode::take_written(kn.state, now, kn.saved_fflags);
        return error;
    }
    const vnode::Hints hints = vnode::hints_for(kn.state, now, changes);
    kn.state = vnode::remember(kn.state, now, changes);
    for (int i = 0; i < hints.count; i++)
        if ((kn.saved_fflags & hints.hint[i]) != 0) kn.fflags |= hints.hint[i];
    if ((changes & kUnmounted) != 0) kn.filter_bits |= kRevoked;
    return Errno::ok;
}

// For a file that is looked at now and then: takes in what happened until now. If it was removed
// and has a name now, it is another file, of which nothing happened yet. Errors as of update().
Errno catch_up(KnoteQueue& kq, VnodeKnote& kn) KQ_REQUIRES(kq.mutex()) {
    FileState now;
    const bool removed = kn.state.links == 0;
    if (removed && look(kq, kn, now, true) == Errno::ok && now.links != 0) kn.state = now;
    const Errno error = update(kq, kn, kUnknown);
    if (!is_gone(error) && is_true(kn)) kq.activate(kn);
    return error;
}

// ---- verbs ----

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return fd_filter::find(kq, ident, EVFILT_VNODE);
}

Result<Knote*> create(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    const Errno error = fd_watch::prepare(kq, change.ident);
    if (error != Errno::ok) return error;
    Owned<VnodeKnote> kn = make<VnodeKnote>();
    if (!kn) return Errno::no_memory;
    kn->saved_fflags = change.fflags & kAllNotes;
    return kn.release();
}

// Cleans up the watch of a descriptor that has lost its VNODE knote.
void leave(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    (void)watch_file(kq, fd, watch);
    if (watch.notes == nullptr && watch.facts.registered == 0) fd_watch::reset(watch);
}

Errno attach(KnoteQueue& kq, Knote& base) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<VnodeKnote&>(base);
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    // The facts may be those of an earlier open file of this number: then all is forgotten.
    fd_watch::notice_gone(kq, watch);
    Errno error = fd_watch::check_same(kq, fd, watch);
    if (error != Errno::ok && error != Errno::no_entry) return error;
    if (watch.facts.kind == FdKind::kqueue) return Errno::invalid;  // a kqueue is no file: R-69
    fd_watch::link(watch, kn);
    error = watch_and_look(kq, kn, kn.state);
    if (error == Errno::ok && watch.facts.file_shared) {
        // Earlier events are only for knotes that were there before.
        fd_watch::unlink(watch, kn);
        kq.take_files();
        fd_watch::link(watch, kn);
        error = watch_and_look(kq, kn, kn.state);
    }
    if (error == Errno::ok) {
        park_if_untold(kq, kn);
        return error;
    }
    fd_watch::unlink(watch, kn);
    leave(kq, fd, watch);
    return error == Errno::no_entry ? Errno::bad_descriptor : error;  // replaced under our eyes
}

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    const bool looked = static_cast<VnodeKnote&>(kn).pass == kq.pass();
    fd_watch::unlink(watch, kn);
    (void)watch_file(kq, fd, watch);
    kq.note_stray();
    // If a one-shot was just delivered, its file need not be checked again.
    const bool delivered = looked && (kn.flags & EV_ONESHOT) != 0 && kn.has(kActive) &&
                           !kn.has(kQueued) && !kn.has(kDisabled);
    const Errno error = delivered ? Errno::ok : fd_watch::check_same(kq, fd, watch);
    if (watch.notes == nullptr && watch.facts.registered == 0) fd_watch::reset(watch);
    return fd_watch::after_delete(error);
}

Errno modify(KnoteQueue& kq, Knote& base, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(base);
    FdWatch& watch = watch_of(kq, base);
    auto& kn = static_cast<VnodeKnote&>(base);
    // Earlier changes of the file are judged by the earlier request.
    kq.take_files();
    if (!fd_watch::is_linked(watch, base)) return Errno::no_entry;
    if (watch.facts.file_late || is_untold(kq, kn)) {
        const Errno error = catch_up(kq, kn);
        if (is_gone(error)) return error;
    }
    const uint32_t old = kn.saved_fflags;
    const uint32_t wanted = vnode::wanted_by(kn, watch.facts);
    kn.saved_fflags = change.fflags & kAllNotes;
    FileState now;
    const Errno error = watch_and_look(kq, kn, now);
    if (is_gone(error)) {
        forget(kq, fd);
        return error;
    }
    if (error != Errno::ok) {
        kn.saved_fflags = old;
        (void)watch_file(kq, fd, watch);
        return error;
    }
    // Changes that were not followed before are followed from now on.
    kn.state = vnode::follow(kn.state, now, wanted, vnode::wanted_by(kn, watch.facts));
    park_if_untold(kq, kn);
    return Errno::ok;
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    const Errno error = fd_watch::check_same(kq, fd, watch_of(kq, kn));
    if (error != Errno::ok) return error;
    if (is_true(kn))
        kn.set(kActive);  // the core queues it
    else
        park_if_untold(kq, kn);
    return Errno::ok;
}

// The watch stays: events accumulate.
void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    park_if_untold(kq, kn);
}

Verdict process(KnoteQueue& kq, Knote& base, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<VnodeKnote&>(base);
    // The knote has waited on the queue: is it still the same file?
    if (kn.pass != kq.pass()) {
        const Errno error = is_untold(kq, kn)
                                ? update(kq, kn, kUnknown)
                                : fd_watch::check_same(kq, fd_of(kn), watch_of(kq, kn));
        if (is_gone(error)) return Verdict::gone;
    }
    if (!is_true(kn)) {
        park_if_untold(kq, kn);
        return Verdict::no_longer_true;
    }
    event.fflags = kn.fflags;
    if ((kn.filter_bits & kRevoked) != 0) event.flags |= EV_EOF;
    if ((kn.flags & EV_CLEAR) != 0) kn.fflags = 0;
    if ((kn.flags & (EV_CLEAR | EV_DISPATCH)) != 0) park_if_untold(kq, kn);
    return Verdict::report;
}

void look_parked(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    vnode::on_changed(kq, kn, kUnknown);
}

}  // namespace

namespace vnode {

uint32_t wanted_by(const Knote& kn, const FdFacts& facts) {
    return changes_for(kn.saved_fflags, facts.kind == FdKind::directory);
}

void on_changed(KnoteQueue& kq, Knote& base, uint32_t changes) {
    auto& kn = static_cast<VnodeKnote&>(base);
    if (is_gone(update(kq, kn, changes))) return;
    if (is_true(kn)) kq.activate(kn);
    park_if_untold(kq, kn);
}

namespace {

// Whether a report that the file was written can become an event of this knote at once.
bool is_usual(const FdWatch& watch, const VnodeKnote& kn) {
    constexpr unsigned kModes = EV_CLEAR | EV_ONESHOT | EV_DISPATCH;
    // status: a disabled knote accumulates, and a queued knote waits for its turn.
    return kn.chain == nullptr && kn.status == 0 && (kn.flags & kModes) == EV_CLEAR &&
           kn.filter_bits == 0 && kn.owed == 0 && !watch.facts.file_untold &&
           watch.facts.kind == FdKind::regular;
}

}  // namespace

Written take_write(KnoteQueue& kq, FdWatch& watch, struct kevent& event) {
    Knote* const only = watch.notes;
    if (only == nullptr || only->filter != EVFILT_VNODE) return Written::other;
    auto& kn = static_cast<VnodeKnote&>(*only);
    if (!is_usual(watch, kn)) return Written::other;
    FileState now;
    // The descriptor is closed, or names another file, or cannot be looked at: on_changed() looks
    // again.
    if (descriptor::file_state(fd_of(kn), watch.facts, now) != Errno::ok) return Written::other;
    kn.pass = kq.pass();
    const uint32_t fflags = kn.fflags | take_written(kn.state, now, kn.saved_fflags);
    if (fflags == 0) return Written::nothing;
    event = {kn.ident, kn.filter, kn.flags, fflags, 0, kn.udata};
    kn.fflags = 0;
    return Written::event;
}

}  // namespace vnode

constinit const FilterOps kVnodeFilter = {
    "EVFILT_VNODE", find,   fd_filter::absent, create,  attach,      detach, destroy_as<VnodeKnote>,
    modify,         enable, disable,           process, look_parked,
};

}  // namespace kq
