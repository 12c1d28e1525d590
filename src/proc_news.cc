// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC: letters of what watched processes did, and NOTE_TRACK, which
// makes a knote for every child of a tracked process. See filter_proc.h.
//
// The hub collects the news of a child before the child has a knote here; the child may even be
// gone then. Its letters come in order: born, what it did, exited. If there was no memory for the
// letter of a birth, the hub keeps that news without naming the child: it cannot be tracked.
#include "alloc.h"
#include "filter_proc.h"
#include "trace.h"

namespace kq::proc {
namespace {

// The knote of a child that the program would find by what it gave for the parent.
ProcKnote* find_like(KnoteQueue& kq, const ProcKnote& parent, int32_t pid) KQ_REQUIRES(kq.mutex()) {
    const auto matches = [&parent](const Knote& kn) {
        return kn.is_specific() == parent.is_specific() &&
               (!kn.is_specific() || kn.udata == parent.udata);
    };
    return static_cast<ProcKnote*>(
        kq.find_indexed(EVFILT_PROC, static_cast<uintptr_t>(pid), matches));
}

// The knote of a child, which takes over what the parent asked for. If the child has a knote
// already, the program made that itself, and it gets the parent's requests as well.
ProcKnote* adopt(KnoteQueue& kq, ProcKnote& parent, int32_t pid) KQ_REQUIRES(kq.mutex()) {
    ProcKnote* present = find_like(kq, parent, pid);
    if (present != nullptr && !has(*present, kExited)) {
        if (process_hub::subscribe(kq, pid, true) != Errno::ok) return nullptr;
        present->saved_fflags |= parent.saved_fflags;
        set(*present, kSubscribed);
        return present;
    }
    if (present != nullptr) (void)kq.drop(*present);  // of an earlier process of that number
    Owned<ProcKnote> fresh = make<ProcKnote>();
    if (!fresh) return nullptr;
    ProcKnote& child = *fresh;
    child.ident = static_cast<uintptr_t>(pid);
    child.filter = EVFILT_PROC;
    child.flags = parent.flags;
    child.udata = parent.udata;
    child.saved_fflags = parent.saved_fflags;
    if (kq.index(child) != Errno::ok) return nullptr;
    const Errno error = watch(kq, child);
    if (error != Errno::ok && error != Errno::no_process) {
        kq.unindex(child);
        return nullptr;
    }
    // Reaped already: the letter of its exit is on the way.
    if (error == Errno::no_process) set(child, kUnseen);
    set(child, kSubscribed);
    kq.note_made();
    return fresh.release();
}

// If no knote has taken over the child, its subscription, which the hub has made, ends.
void decline_orphan(KnoteQueue& kq, int32_t child) KQ_REQUIRES(kq.mutex()) {
    for (ProcKnote* kn = find_proc(kq, child); kn != nullptr;
         kn = next_proc(kq, child, kn->generation))
        if (has(*kn, kSubscribed)) return;
    process_hub::unsubscribe(kq, child);
}

// One knote of a process that has forked.
void tell_forked(KnoteQueue& kq, ProcKnote& parent, int32_t child_pid) KQ_REQUIRES(kq.mutex()) {
    if ((parent.saved_fflags & NOTE_FORK) != 0) tell(kq, parent, NOTE_FORK);
    if ((parent.saved_fflags & NOTE_TRACK) == 0) return;
    ProcKnote* child = child_pid == 0 ? nullptr : adopt(kq, parent, child_pid);
    if (child == nullptr) {
        tell(kq, parent, NOTE_TRACKERR);
        return;
    }
    child->parent = pid_of(parent);
    set(*child, kBorn);
    tell(kq, *child, 0);
}

void on_forked(KnoteQueue& kq, int32_t pid, int32_t child_pid) KQ_REQUIRES(kq.mutex()) {
    for (ProcKnote* kn = find_proc(kq, pid); kn != nullptr;) {
        const uint32_t generation = kn->generation;
        if (!has(*kn, kExited)) tell_forked(kq, *kn, child_pid);
        kn = next_proc(kq, pid, generation);
    }
    decline_orphan(kq, child_pid);
}

void on_executed(KnoteQueue& kq, int32_t pid) KQ_REQUIRES(kq.mutex()) {
    for (ProcKnote* kn = find_proc(kq, pid); kn != nullptr; kn = next_proc(kq, pid, kn->generation))
        if (!has(*kn, kExited) && (kn->saved_fflags & NOTE_EXEC) != 0) tell(kq, *kn, NOTE_EXEC);
}

// For one knote of the process.
void take_exit(KnoteQueue& kq, ProcKnote& kn, int code) KQ_REQUIRES(kq.mutex()) {
    if (has(kn, kExited)) return;
    if (has(kn, kUnseen)) {
        (void)finish(kq, kn, code);
        return;
    }
    int status = 0;
    if (processes::ask(kn.facts, status) == Life::running) return;
    set(kn, kCodeTold);
    kn.code = code;
    (void)check_exit(kq, kn, true);
}

// The first thread of the process has ended. Most often the process has ended with it.
void on_exited(KnoteQueue& kq, int32_t pid, int code) KQ_REQUIRES(kq.mutex()) {
    for (ProcKnote* kn = find_proc(kq, pid); kn != nullptr;) {
        const uint32_t generation = kn->generation;
        take_exit(kq, *kn, code);
        kn = next_proc(kq, pid, generation);
    }
}

void read(KnoteQueue& kq, const ProcessNews& news) KQ_REQUIRES(kq.mutex()) {
    switch (news.what) {
        case ProcessNews::What::forked:
            on_forked(kq, news.pid, news.arg);
            break;
        case ProcessNews::What::executed:
            on_executed(kq, news.pid);
            break;
        case ProcessNews::What::exited:
            on_exited(kq, news.pid, news.arg);
            break;
    }
}

// Some news were lost. Children may be missing, and a child that was never seen may have exited
// unheard.
void on_lost(KnoteQueue& kq) KQ_REQUIRES(kq.mutex()) {
    kq.for_each_indexed([&kq](Knote* base) KQ_NO_ANALYSIS {
        if (base->filter != EVFILT_PROC) return;
        auto& kn = static_cast<ProcKnote&>(*base);
        if (has(kn, kExited)) return;
        if ((kn.saved_fflags & NOTE_TRACK) != 0) tell(kq, kn, NOTE_TRACKERR);
        if (has(kn, kUnseen)) (void)finish(kq, kn, 0);
    });
}

}  // namespace

void hear(KnoteQueue& kq) {
    process_hub::distribute(kq);
    read_letters(kq);
}

void read_letters(KnoteQueue& kq) {
    Mailbox* mailbox = kq.mailbox();
    if (mailbox == nullptr) return;
    bool lost = false;
    Letter* letter = process_hub::take_letters(*mailbox, lost);
    while (letter != nullptr) {
        const Owned<Letter> one(letter);
        letter = one->next;
        read(kq, one->news);
    }
    ProcessNews news{};
    while (process_hub::take_kept(*mailbox, news))
        read(kq, news);
    if (!lost) return;
    trace_note(TraceLevel::trouble, kq.descriptor(),
               "news of processes came faster than they were collected, some are lost");
    on_lost(kq);
}

}  // namespace kq::proc
