// EVFILT_VNODE: what happens to a file or directory (semantics 5.5).
//
// The knote hangs on the FdWatch of its descriptor. The backend says that something
// happened; the file is looked at and compared with what it was (vnode_hints.cc), and
// what was asked for accumulates in Knote::fflags, whether disabled or not. Called
// through FilterOps and by fd_watch.cc. Under the kqueue's mutex.
#include "fd_filter.h"
#include "vnode.h"
#include "vnode_hints.h"

namespace kq {
namespace {

using fd_watch::fd_of;
using fd_watch::forget;
using fd_watch::watch_file;
using fd_watch::watch_of;

constexpr uint32_t kAllNotes = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK |
                               NOTE_RENAME | NOTE_REVOKE | NOTE_TRUNCATE | NOTE_CLOSE |
                               NOTE_CLOSE_WRITE | NOTE_READ | NOTE_OPEN;

// Knote::filter_bits.
constexpr uint8_t kRevoked = 1;  // the file system is gone: EV_EOF, and active for good

struct VnodeKnote : Knote {
    FileState state;    // when last looked at
    uint32_t pass = 0;  // Kqueue::pass() then
    uint32_t owed = 0;  // FileChange bits that were told when it could not be looked at
};

bool is_true(const Knote& kn) {
    return kn.fflags != 0 || (kn.filter_bits & kRevoked) != 0;
}

// Looks at the file. Errors as of descriptor::check_same().
Errno look(Kqueue& kq, VnodeKnote& kn, FileState& now, bool name) KQ_REQUIRES(kq.mutex()) {
    const Errno error = descriptor::file_state(fd_of(kn), watch_of(kq, kn).facts, now);
    if (error != Errno::ok) return error;
    now.name =
        name && (kn.saved_fflags & NOTE_RENAME) != 0 ? descriptor::name(fd_of(kn)) : kn.state.name;
    kn.pass = kq.pass();
    return error;
}

// Tells the backend what the knote wants now, and looks at the file: only once it is
// watched is nothing lost that comes after.
Errno watch_and_look(Kqueue& kq, VnodeKnote& kn, FileState& now) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    const bool known = watch.facts.kind != FdKind::unknown;
    const Errno refused = watch_file(kq, fd, watch);
    const Errno error = look(kq, kn, now, true);
    if (error != Errno::ok) return error;
    if (!now.named) return Errno::invalid;
    if (refused != Errno::ok || known || !now.directory) return refused;
    // Only now it is known that something else has to be watched.
    const Errno again = watch_file(kq, fd, watch);
    return again == Errno::ok ? look(kq, kn, now, true) : again;
}

// Whether it has to be looked at although nothing tells of it.
bool is_untold(Kqueue& kq, const Knote& kn) KQ_REQUIRES(kq.mutex()) {
    return watch_of(kq, kn).facts.file_untold || static_cast<const VnodeKnote&>(kn).owed != 0;
}

// That is done every now and then.
void park_if_untold(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (is_untold(kq, kn) && !kn.has(kQueued) && !kn.has(kParked)) kq.park(kn, Parking::recheck);
}

// Something happened: accumulates what there is to report. If the descriptor is another
// file or closed all its knotes are dropped, and is_gone() holds for the answer; other
// errors: it could not be looked at, and will be.
Errno update(Kqueue& kq, VnodeKnote& kn, uint32_t changes) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    changes |= kn.owed;
    // A directory may have been removed from its new place before that was watched.
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
    const vnode::Hints hints = vnode::hints_for(kn.state, now, changes);
    kn.state = vnode::remember(kn.state, now, changes);
    for (int i = 0; i < hints.count; i++)
        if ((kn.saved_fflags & hints.hint[i]) != 0) kn.fflags |= hints.hint[i];
    if ((changes & kUnmounted) != 0) kn.filter_bits |= kRevoked;
    return Errno::ok;
}

// ---- verbs ----

Result<Knote*> find(Kqueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return fd_filter::find(kq, ident, EVFILT_VNODE);
}

Result<Knote*> create(Kqueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    if ((change.fflags & ~kAllNotes) != 0) return Errno::invalid;
    const Errno error = fd_watch::prepare(kq, change.ident);
    if (error != Errno::ok) return error;
    Owned<VnodeKnote> kn = make<VnodeKnote>();
    if (!kn) return Errno::no_memory;
    kn->saved_fflags = change.fflags;
    return kn.release();
}

// The watch of a descriptor that has lost its VNODE knote.
void leave(Kqueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    (void)watch_file(kq, fd, watch);
    if (watch.notes == nullptr && watch.facts.registered == 0) fd_watch::reset(watch);
}

Errno attach(Kqueue& kq, Knote& base) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<VnodeKnote&>(base);
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    // What is known may be of an earlier open file of this number: then all is forgotten.
    fd_watch::notice_gone(kq, watch);
    Errno error = fd_watch::check_same(kq, fd, watch);
    if (error != Errno::ok && error != Errno::no_entry) return error;
    if (watch.facts.kind == FdKind::kqueue) return Errno::invalid;  // and no file: R-69
    fd_watch::link(watch, kn);
    error = watch_and_look(kq, kn, kn.state);
    if (error == Errno::ok && watch.facts.file_shared) {
        // What happened before is for those who were there before.
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

Errno detach(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    const bool looked = static_cast<VnodeKnote&>(kn).pass == kq.pass();
    fd_watch::unlink(watch, kn);
    (void)watch_file(kq, fd, watch);
    kq.note_stray();
    // A one-shot that was just delivered need not be asked for its file.
    const bool delivered = looked && (kn.flags & EV_ONESHOT) != 0 && kn.has(kActive) &&
                           !kn.has(kQueued) && !kn.has(kDisabled);
    const Errno error = delivered ? Errno::ok : fd_watch::check_same(kq, fd, watch);
    if (watch.notes == nullptr && watch.facts.registered == 0) fd_watch::reset(watch);
    return fd_watch::after_delete(error);
}

Errno modify(Kqueue& kq, Knote& base, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    if ((change.fflags & ~kAllNotes) != 0) return Errno::invalid;
    const int fd = fd_of(base);
    FdWatch& watch = watch_of(kq, base);
    // What happened until now is judged by what was asked for until now.
    kq.take_files();
    if (fd_watch::note_of(watch, EVFILT_VNODE) != &base) return Errno::no_entry;
    auto& kn = static_cast<VnodeKnote&>(base);
    const uint32_t old = kn.saved_fflags;
    const uint32_t wanted = vnode::wanted_by(kn, watch.facts);
    kn.saved_fflags = change.fflags;
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
    // From now on it is followed in what it was not before.
    kn.state = vnode::remember(kn.state, now, vnode::wanted_by(kn, watch.facts) & ~wanted);
    park_if_untold(kq, kn);
    return Errno::ok;
}

Errno enable(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    const Errno error = fd_watch::check_same(kq, fd, watch_of(kq, kn));
    if (error != Errno::ok) return error;
    if (is_true(kn))
        kn.set(kActive);  // the core queues it
    else
        park_if_untold(kq, kn);
    return Errno::ok;
}

// The watch stays: what happens is accumulated.
void disable(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    park_if_untold(kq, kn);
}

Verdict process(Kqueue& kq, Knote& base, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<VnodeKnote&>(base);
    // It waited on the queue meanwhile: is it still the file it was?
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

void look_parked(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    vnode::on_changed(kq, kn, kUnknown);
}

}  // namespace

namespace vnode {

uint32_t wanted_by(const Knote& kn, const FdFacts& facts) {
    return changes_for(kn.saved_fflags, facts.kind == FdKind::directory);
}

void on_changed(Kqueue& kq, Knote& base, uint32_t changes) {
    auto& kn = static_cast<VnodeKnote&>(base);
    if (is_gone(update(kq, kn, changes))) return;
    if (is_true(kn)) kq.activate(kn);
    park_if_untold(kq, kn);
}

}  // namespace vnode

constinit const FilterOps kVnodeFilter = {
    "EVFILT_VNODE", find,   fd_filter::absent, create,  attach,      detach, destroy_as<VnodeKnote>,
    modify,         enable, disable,           process, look_parked,
};

}  // namespace kq
