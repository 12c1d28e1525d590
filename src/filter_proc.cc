// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC: processes (semantics 5.6). Verbs of filter.h, under the kqueue's mutex. The backend
// tells of the exit, process by process. All else comes in letters: see proc_news.cc.
//
// The status is taken when we hear of the exit, not when the exit is reported: the program may reap
// in between. The event always comes, at worst without a status.
#include "filter_proc.h"

#include <limits.h>

#include <atomic>

#include "filter.h"

namespace kq {

static_assert(Backend::kHas.processes && ProcessesContract<Backend>);

namespace proc {
namespace {

// How long an event waits for its status if that can be known only after the parent has reaped the
// process.
constexpr Nanos kPatience = 200 * kMillisecond;

constexpr uint32_t kNeedLetters = NOTE_FORK | NOTE_EXEC | NOTE_TRACK;
constexpr uint32_t kExitNotes = NOTE_EXIT | NOTE_EXITSTATUS;
// Bits that no system defines are ignored, as the kernels do.
constexpr uint32_t kAccepted = kExitNotes | kNeedLetters | NOTE_TRACKERR | NOTE_CHILD;

uint32_t next_generation() {
    static constinit std::atomic<uint32_t> last{0};
    return ++last & Handle::kGenerations;
}

// Puts the knote on the list of what is looked at, if it needs that and is on no other list. Must
// be called after all that may have taken the knote off.
void keep_looking(KnoteQueue& kq, ProcKnote& kn) KQ_REQUIRES(kq.mutex()) {
    if (!has(kn, kAsked | kLeaving) || has(kn, kExited)) return;
    if (!kn.has(kQueued) && !kn.has(kParked)) kq.park(kn, Parking::recheck);
}

// Whether any other knote of the process has to be told of its children.
bool others_track(KnoteQueue& kq, const ProcKnote& one) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_PROC, one.ident, [&one](const Knote& base) {
        const auto& kn = static_cast<const ProcKnote&>(base);
        return &kn != &one && has(kn, kSubscribed) && (kn.saved_fflags & NOTE_TRACK) != 0;
    }) != nullptr;
}

// The kqueue has one subscription for all knotes of a process.
void unsubscribe(KnoteQueue& kq, ProcKnote& kn) KQ_REQUIRES(kq.mutex()) {
    if (!has(kn, kSubscribed)) return;
    clear(kn, kSubscribed);
    if (other_with(kq, kn, kSubscribed) == nullptr)
        process_hub::unsubscribe(kq, pid_of(kn));
    else
        (void)process_hub::subscribe(kq, pid_of(kn), others_track(kq, kn));
}

// Subscribes to what is asked for; if that is nothing, unsubscribes.
Errno subscribe(KnoteQueue& kq, ProcKnote& kn, uint32_t fflags) KQ_REQUIRES(kq.mutex()) {
    if ((fflags & kNeedLetters) == 0) {
        unsubscribe(kq, kn);
        return Errno::ok;
    }
    const bool tracks = (fflags & NOTE_TRACK) != 0 || others_track(kq, kn);
    const Errno error = process_hub::subscribe(kq, pid_of(kn), tracks);
    if (error == Errno::ok) set(kn, kSubscribed);
    return error;
}

// The process has exited, but its status is not known yet.
bool wait_for_status(KnoteQueue& kq, ProcKnote& kn) KQ_REQUIRES(kq.mutex()) {
    if (has(kn, kCodeTold)) return finish(kq, kn, kn.code);
    const Nanos t = now(Clock::monotonic);
    if (!has(kn, kLeaving)) kn.patience = saturating_add(t, kPatience);
    set(kn, kLeaving);
    if (t >= kn.patience) return finish(kq, kn, 0);
    keep_looking(kq, kn);
    return true;
}

// Whether the number of a process that has exited names another process now.
bool is_another(KnoteQueue& kq, int32_t pid) KQ_REQUIRES(kq.mutex()) {
    ProcessFacts facts;
    const Errno error = kq.backend().watch_process(pid, Handle{}, facts);
    int status = 0;
    const bool alive = (error == Errno::ok || error == Errno::unimplemented) &&
                       processes::ask(facts, status) == Life::running;
    kq.backend().unwatch_process(facts);
    return alive;
}

// ---- verbs ----

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_PROC, ident);
}

Result<Knote*> create(KnoteQueue&, const struct kevent& change) {
    if (change.ident == 0 || change.ident > INT_MAX) return Errno::no_process;
    const Errno refused = check_notes(EVFILT_PROC, change.fflags);
    if (refused != Errno::ok) return refused;
    Owned<ProcKnote> kn = make<ProcKnote>();
    if (!kn) return Errno::no_memory;
    kn->saved_fflags = change.fflags & kAccepted;
    kn->flags = EV_CLEAR;
    return kn.release();
}

Errno attach(KnoteQueue& kq, Knote& base) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<ProcKnote&>(base);
    Errno error = kq.index(kn);
    if (error != Errno::ok) return error;
    error = watch(kq, kn);
    if (error == Errno::ok) error = subscribe(kq, kn, kn.saved_fflags);
    int status = 0;
    // A process that has exited can still be watched with NOTE_EXIT (D-20).
    if (error == Errno::ok && (kn.saved_fflags & NOTE_EXIT) == 0 &&
        processes::ask(kn.facts, status) != Life::running)
        error = Errno::no_process;
    if (error == Errno::ok) {
        if (has(kn, kAsked) && check_exit(kq, kn, true)) keep_looking(kq, kn);
        return Errno::ok;
    }
    unsubscribe(kq, kn);
    kq.backend().unwatch_process(kn.facts);
    kq.unindex(kn);
    return error;
}

Errno detach(KnoteQueue& kq, Knote& base) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<ProcKnote&>(base);
    if (has(kn, kSubscribed)) kq.note_stray();  // letters may have been announced
    unsubscribe(kq, kn);
    kq.backend().unwatch_process(kn.facts);
    kq.unindex(kn);
    return Errno::ok;
}

Errno modify(KnoteQueue& kq, Knote& base, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    auto* kn = static_cast<ProcKnote*>(&base);
    const Errno refused = check_notes(EVFILT_PROC, change.fflags);
    if (refused != Errno::ok) return refused;
    // An exit that was not heard of yet happened before this change.
    if (!has(*kn, kExited)) {
        const uint32_t generation = kn->generation;
        if (!check_exit(kq, *kn, false)) return Errno::no_entry;
        kn = find_generation(kq, static_cast<int32_t>(change.ident), generation);
        if (kn == nullptr) return Errno::no_entry;
    }
    if (has(*kn, kExited | kLeaving)) {
        if ((change.flags & EV_ADD) != 0 && is_another(kq, pid_of(*kn))) {
            (void)kq.drop(*kn);
            return Errno::no_entry;
        }
    } else {
        const Errno error = subscribe(kq, *kn, change.fflags);
        if (error != Errno::ok) return error;
    }
    kn->saved_fflags = change.fflags & kAccepted;
    return Errno::ok;
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    keep_looking(kq, static_cast<ProcKnote&>(kn));
    return Errno::ok;
}

// News that come while the knote is disabled are kept.
void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    keep_looking(kq, static_cast<ProcKnote&>(kn));
}

Verdict process(KnoteQueue& kq, Knote& base, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<ProcKnote&>(base);
    if (has(kn, kBorn)) {
        clear(kn, kBorn);
        event.fflags = NOTE_CHILD;
        event.data = kn.parent;
        event.flags |= EV_ONESHOT;  // as on BSD, although the knote stays
        return Verdict::aside;
    }
    if (kn.fflags == 0) {
        if (has(kn, kExited)) {
            (void)kq.drop(kn);
            return Verdict::gone;
        }
        keep_looking(kq, kn);
        return has(kn, kAsked | kLeaving) ? Verdict::parked : Verdict::no_longer_true;
    }
    event.fflags = kn.fflags;
    event.data = kn.data;
    kn.fflags = 0;
    if (has(kn, kExited)) event.flags |= EV_EOF | EV_ONESHOT;
    keep_looking(kq, kn);
    return Verdict::report;
}

void look(KnoteQueue& kq, Knote& base) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<ProcKnote&>(base);
    if (check_exit(kq, kn, false)) keep_looking(kq, kn);
}

void forsake(KnoteQueue& kq, Knote& base) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<ProcKnote&>(base);
    kq.backend().unwatch_process(kn.facts);
    clear(kn, kAsked | kSubscribed);
}

template <class B>
bool is_out_of_reach(int32_t pid) {
    if constexpr (B::kHas.fork)
        return B::is_out_of_reach(pid);
    else
        return true;
}

// The process is gone. Only its parent could know how it has exited.
Errno inherit(KnoteQueue& kq, Knote& base) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<ProcKnote&>(base);
    if (has(kn, kExited | kUnseen) || is_out_of_reach<Backend>(pid_of(kn)))
        return Errno::no_process;
    Errno error = watch(kq, kn);
    if (error == Errno::ok) error = subscribe(kq, kn, kn.saved_fflags);
    if (error != Errno::ok)
        kq.backend().unwatch_process(kn.facts);
    else
        keep_looking(kq, kn);
    return error;
}

}  // namespace

// ---- shared ----

ProcKnote* find_proc(KnoteQueue& kq, int32_t pid, uint64_t from) {
    ProcKnote* first = nullptr;
    (void)kq.find_indexed(EVFILT_PROC, static_cast<uintptr_t>(pid), [&first, from](Knote& kn) {
        auto& one = static_cast<ProcKnote&>(kn);
        const bool nearer = first == nullptr || one.generation < first->generation;
        if (one.generation >= from && nearer) first = &one;
        return false;
    });
    return first;
}

ProcKnote* find_generation(KnoteQueue& kq, int32_t pid, uint32_t generation) {
    const auto matches = [generation](const Knote& kn) {
        return static_cast<const ProcKnote&>(kn).generation == generation;
    };
    return static_cast<ProcKnote*>(
        kq.find_indexed(EVFILT_PROC, static_cast<uintptr_t>(pid), matches));
}

ProcKnote* other_with(KnoteQueue& kq, const ProcKnote& one, uint8_t bits) {
    return static_cast<ProcKnote*>(
        kq.find_indexed(EVFILT_PROC, one.ident, [&one, bits](const Knote& kn) {
            return &kn != &one && has(static_cast<const ProcKnote&>(kn), bits);
        }));
}

Errno watch(KnoteQueue& kq, ProcKnote& kn) {
    kn.generation = next_generation();
    const int32_t pid = pid_of(kn);
    const Handle handle(Handle::Kind::process, static_cast<uint32_t>(pid), kn.generation);
    const Errno error = kq.backend().watch_process(pid, handle, kn.facts);
    if (error != Errno::unimplemented) return error;
    set(kn, kAsked);
    return Errno::ok;
}

void tell(KnoteQueue& kq, ProcKnote& kn, uint32_t fflags) {
    kn.fflags |= fflags;
    kq.activate(kn);
    keep_looking(kq, kn);  // activate() took it off that list, even if it is disabled
}

bool finish(KnoteQueue& kq, ProcKnote& kn, int status) {
    kq.backend().unwatch_process(kn.facts);
    unsubscribe(kq, kn);
    clear(kn, kLeaving);
    set(kn, kExited);
    if ((kn.saved_fflags & NOTE_EXIT) != 0) {
        kn.fflags |= kn.saved_fflags & kExitNotes;
        kn.data = status;
    }
    if (kn.fflags == 0 && !has(kn, kBorn)) {
        (void)kq.drop(kn);
        return false;
    }
    kq.activate(kn);
    return true;
}

bool check_exit(KnoteQueue& kq, ProcKnote& kn, bool heard) {
    if (has(kn, kExited | kUnseen)) return true;
    int status = 0;
    const Life life = processes::ask(kn.facts, status);
    if (life == Life::running) return true;
    if (has(kn, kSubscribed) && !heard) {
        // News of the process from before its exit were told earlier, but perhaps not heard yet.
        // Hearing them may end the knote, and even begin another for the same number.
        const int32_t pid = pid_of(kn);
        const uint32_t generation = kn.generation;
        hear(kq);
        if (find_generation(kq, pid, generation) != &kn) return false;
        if (has(kn, kExited)) return true;
    }
    switch (life) {
        case Life::exited:
            return finish(kq, kn, status);
        case Life::exited_later:
            return wait_for_status(kq, kn);
        default:
            return finish(kq, kn, has(kn, kCodeTold) ? kn.code : 0);
    }
}

void on_wakeup(KnoteQueue& kq, Handle handle) {
    ProcKnote* kn = find_generation(kq, static_cast<int32_t>(handle.index()), handle.generation());
    if (kn == nullptr) return kq.note_stale();
    if (!check_exit(kq, *kn, false) || has(*kn, kExited | kLeaving)) return;
    // The wakeup was not its exit, and no second wakeup will come.
    set(*kn, kAsked);
    keep_looking(kq, *kn);
}

}  // namespace proc

constinit const FilterOps kProcFilter = {
    "EVFILT_PROC", proc::find,    never_added,           proc::create,
    proc::attach,  proc::detach,  destroy_as<ProcKnote>, proc::modify,
    proc::enable,  proc::disable, proc::process,         proc::look,
    nullptr,       proc::forsake, proc::inherit,
};

}  // namespace kq
