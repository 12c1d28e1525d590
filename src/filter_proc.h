// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC: what its two files share. filter_proc.cc has the verbs and the exit of a process.
// proc_news.cc has what a process does before: fork, exec, children. Everything here runs under the
// kqueue's mutex.
#ifndef KQ_FILTER_PROC_H
#define KQ_FILTER_PROC_H

#include "knote_queue.h"
#include "process_hub.h"

namespace kq {

struct ProcKnote : Knote {
    ProcessFacts facts;
    uint32_t generation = 0;  // of its Handle
    int32_t parent = 0;       // with kBorn: the process that forked it
    int code = 0;             // with kCodeTold: its status, as a letter said
    Nanos patience = 0;       // with kLeaving: until when to wait for its status
};

namespace proc {

// Knote::filter_bits
constexpr uint8_t kExited = 1;      // has exited, and all is known of it; not watched any more
constexpr uint8_t kLeaving = 2;     // has exited, but how is not known yet
constexpr uint8_t kAsked = 4;       // no report will come: it has to be looked at
constexpr uint8_t kSubscribed = 8;  // letters come
constexpr uint8_t kBorn = 16;       // NOTE_CHILD must be reported first, in an event of its own
constexpr uint8_t kUnseen = 32;     // was gone before it could be watched: only its letters tell
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

// The knotes of a process, one after the other: with EV_UDATA_SPECIFIC there may be several.
// Returns the one with the smallest generation that is not below `from`, or null. Each knote is
// found again by its generation, so that others may come and go in between.
ProcKnote* find_proc(KnoteQueue& kq, int32_t pid, uint64_t from = 0) KQ_REQUIRES(kq.mutex());
inline ProcKnote* next_proc(KnoteQueue& kq, int32_t pid, uint32_t generation)
    KQ_REQUIRES(kq.mutex()) {
    return find_proc(kq, pid, uint64_t{generation} + 1);
}
// The knote with this generation, or null: it is gone.
ProcKnote* find_generation(KnoteQueue& kq, int32_t pid, uint32_t generation)
    KQ_REQUIRES(kq.mutex());
// Any other knote of the same process that has one of these bits, or null.
ProcKnote* other_with(KnoteQueue& kq, const ProcKnote& one, uint8_t bits) KQ_REQUIRES(kq.mutex());

// Watches the process of an indexed knote for its exit. no_process: gone already.
Errno watch(KnoteQueue& kq, ProcKnote& kn) KQ_REQUIRES(kq.mutex());

// Adds these bits to what the knote has to report.
void tell(KnoteQueue& kq, ProcKnote& kn, uint32_t fflags) KQ_REQUIRES(kq.mutex());

// Looks whether the process has exited, and if so takes that in. `heard`: all its letters have been
// read. False: the knote is gone.
bool check_exit(KnoteQueue& kq, ProcKnote& kn, bool heard) KQ_REQUIRES(kq.mutex());

// The process has exited with this status, which is reported if it was asked for. If the knote has
// nothing to report, it is dropped now: false.
bool finish(KnoteQueue& kq, ProcKnote& kn, int status) KQ_REQUIRES(kq.mutex());

// ---- for scan.cc: wakeups Kind::process, Kind::processes, and a ring ----
void on_wakeup(KnoteQueue& kq, Handle handle) KQ_REQUIRES(kq.mutex());
void hear(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());
void read_letters(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

}  // namespace proc
}  // namespace kq

#endif
