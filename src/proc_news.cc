// EVFILT_PROC: letters of what watched processes did, and NOTE_TRACK, which
// makes a knote for every child of a tracked process. See filter_proc.h.
//
// A child exists for the hub, which collects its news, before it has a knote
// here; it may even be gone. Its letters come in order: born, what it did, exited. What the hub
// kept for want of a letter does not name the child: that one cannot be tracked.
#include "alloc.h"
#include "filter_proc.h"

namespace kq::proc {
namespace {

// What the knote of a child takes over. A knote of the child that is there already
// was made by the program itself, and gets the parent's requests as well.
ProcKnote* adopt(Kqueue& kq, ProcKnote& parent, int32_t pid) KQ_REQUIRES(kq.mutex()) {
    ProcKnote* present = find_proc(kq, pid);
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

// Of a birth that is of no use: the hub has subscribed to the child.
void decline(Kqueue& kq, int32_t child) KQ_REQUIRES(kq.mutex()) {
    const ProcKnote* own = find_proc(kq, child);
    if (own == nullptr || !has(*own, kSubscribed)) process_hub::unsubscribe(kq, child);
}

void on_forked(Kqueue& kq, int32_t pid, int32_t child_pid) KQ_REQUIRES(kq.mutex()) {
    ProcKnote* parent = find_proc(kq, pid);
    if (parent == nullptr || has(*parent, kExited)) {
        decline(kq, child_pid);
        return;
    }
    if ((parent->saved_fflags & NOTE_FORK) != 0) tell(kq, *parent, NOTE_FORK);
    if ((parent->saved_fflags & NOTE_TRACK) == 0) {
        decline(kq, child_pid);
        return;
    }
    ProcKnote* child = child_pid == 0 ? nullptr : adopt(kq, *parent, child_pid);
    if (child == nullptr) {
        decline(kq, child_pid);
        tell(kq, *parent, NOTE_TRACKERR);
        return;
    }
    child->parent = pid;
    set(*child, kBorn);
    tell(kq, *child, 0);
}

void on_executed(Kqueue& kq, int32_t pid) KQ_REQUIRES(kq.mutex()) {
    ProcKnote* kn = find_proc(kq, pid);
    if (kn == nullptr || has(*kn, kExited)) return;
    if ((kn->saved_fflags & NOTE_EXEC) != 0) tell(kq, *kn, NOTE_EXEC);
}

// The first thread of the process has ended, and with it, most often, the process.
void on_exited(Kqueue& kq, int32_t pid, int code) KQ_REQUIRES(kq.mutex()) {
    ProcKnote* kn = find_proc(kq, pid);
    if (kn == nullptr || has(*kn, kExited)) return;
    if (has(*kn, kUnseen)) {
        (void)finish(kq, *kn, code);
        return;
    }
    int status = 0;
    if (processes::ask(kn->facts, status) == Life::running) return;
    set(*kn, kCodeTold);
    kn->code = code;
    (void)check_exit(kq, *kn, true);
}

void read(Kqueue& kq, const ProcessNews& news) KQ_REQUIRES(kq.mutex()) {
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

// Some news were lost: children may be missing, and those never seen may have
// exited unheard.
void on_lost(Kqueue& kq) KQ_REQUIRES(kq.mutex()) {
    kq.for_each_indexed([&kq](Knote* base) KQ_NO_ANALYSIS {
        if (base->filter != EVFILT_PROC) return;
        auto& kn = static_cast<ProcKnote&>(*base);
        if (has(kn, kExited)) return;
        if ((kn.saved_fflags & NOTE_TRACK) != 0) tell(kq, kn, NOTE_TRACKERR);
        if (has(kn, kUnseen)) (void)finish(kq, kn, 0);
    });
}

}  // namespace

void hear(Kqueue& kq) {
    process_hub::distribute(kq);
    read_letters(kq);
}

void read_letters(Kqueue& kq) {
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
    if (lost) on_lost(kq);
}

}  // namespace kq::proc
