// EVFILT_PROC: what its two files share. filter_proc.cc has the verbs and the
// exit of a process, proc_news.cc what it does before: fork, exec, children.
// Everything here runs under the kqueue's mutex.
#ifndef KQ_FILTER_PROC_H
#define KQ_FILTER_PROC_H

#include "kqueue.h"
#include "process_hub.h"

namespace kq {

struct ProcKnote : Knote {
    ProcessFacts facts;
    uint32_t generation = 0;  // of its Handle
    int32_t parent = 0;       // with kBorn: who forked it
    int code = 0;             // with kCodeTold: its status, by hearsay
    Nanos patience = 0;       // with kLeaving: until when its status is waited for
};

namespace proc {

// Knote::filter_bits
constexpr uint8_t kExited = 1;      // and everything is known of that; not watched any more
constexpr uint8_t kLeaving = 2;     // it has exited, but how is not known yet
constexpr uint8_t kAsked = 4;       // nobody will tell: it has to be looked at
constexpr uint8_t kSubscribed = 8;  // letters come
constexpr uint8_t kBorn = 16;       // NOTE_CHILD is to be reported, by itself, first
constexpr uint8_t kUnseen = 32;     // was gone before it could be watched: its letters tell
constexpr uint8_t kCodeTold = 64;   // `code` is its status, unless a better one is found

inline int32_t pid_of(const Knote& kn) {
    return static_cast<int32_t>(kn.ident);
}
inline bool has(const ProcKnote& kn, uint8_t bit) {
    return (kn.filter_bits & bit) != 0;
}
inline void set(ProcKnote& kn, uint8_t bit) {
    kn.filter_bits = static_cast<uint8_t>(kn.filter_bits | bit);
}
inline void clear(ProcKnote& kn, uint8_t bit) {
    kn.filter_bits = static_cast<uint8_t>(kn.filter_bits & ~bit);
}

ProcKnote* find_proc(Kqueue& kq, int32_t pid) KQ_REQUIRES(kq.mutex());

// Watches the process of an indexed knote for its exit. no_process: gone already.
Errno watch(Kqueue& kq, ProcKnote& kn) KQ_REQUIRES(kq.mutex());

// Adds to what the knote has to report.
void tell(Kqueue& kq, ProcKnote& kn, uint32_t fflags) KQ_REQUIRES(kq.mutex());

// Looks whether the process has exited, and if so takes it in. `heard`: all letters
// of it have been read. The knote may be gone then: false.
bool check_exit(Kqueue& kq, ProcKnote& kn, bool heard) KQ_REQUIRES(kq.mutex());

// The process has exited, with this status: reported if it is asked for. Else the
// knote goes away when it has nothing else to report; false if that is now.
bool finish(Kqueue& kq, ProcKnote& kn, int status) KQ_REQUIRES(kq.mutex());

// ---- for scan.cc: wakeups Kind::process, Kind::processes, and a ring ----
void on_wakeup(Kqueue& kq, Handle handle) KQ_REQUIRES(kq.mutex());
void hear(Kqueue& kq) KQ_REQUIRES(kq.mutex());
void read_letters(Kqueue& kq) KQ_REQUIRES(kq.mutex());

}  // namespace proc
}  // namespace kq

#endif
