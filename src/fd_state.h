// SPDX-License-Identifier: BSD-2-Clause
// What EVFILT_EXCEPT, EVFILT_EMPTY and EVFILT_PROCDESC share: each asks for one state of a
// descriptor (StateKind) other than "readable" and "writable".
//
// Where the platform reports such a state (watch_state() in capabilities.h), the knote waits for
// that report. Other states are looked at before each sleep and every ParkedKnotes::kPeriod, as
// long as they are not true. Lock: the kqueue's mutex.
#ifndef KQ_FD_STATE_H
#define KQ_FD_STATE_H

#include "fd_filter.h"
#include "filter.h"

namespace kq::fd_state {

// Knote::filter_bits of these knotes.
enum StateBits : uint8_t {
    // With EV_CLEAR: this was reported, and was true whenever the descriptor was looked at since.
    kActiveReported = 1,
    kEndReported = 2,
    kReported = kActiveReported | kEndReported,
};

// What one of these filters is.
struct StateKind {
    int16_t filter;
    uint32_t served;  // the fflags that a change may have; others are refused
    uint16_t nature;  // EV_ flags that each knote has
    uint8_t told_by;  // StateChange bits that the platform is to report; 0: it cannot
    // Whether a descriptor of this kind can have the state: ok, or what EV_ADD answers.
    Errno (*suits)(int fd, const FdFacts& facts);
    // What the descriptor says now. `fflags`: what the knote asks for.
    Sample (*ask)(int fd, const FdFacts& facts, uint32_t fflags);
    // Writes a true sample into the event.
    void (*fill)(const Sample& sample, struct kevent& event);
};

Result<Knote*> create(const StateKind& kind, KnoteQueue& kq, const struct kevent& change)
    KQ_REQUIRES(kq.mutex());
Errno attach(const StateKind& kind, KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Errno modify(const StateKind& kind, KnoteQueue& kq, Knote& kn, const struct kevent& change)
    KQ_REQUIRES(kq.mutex());
Errno enable(const StateKind& kind, KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Verdict process(const StateKind& kind, KnoteQueue& kq, Knote& kn, struct kevent& event)
    KQ_REQUIRES(kq.mutex());
void look(const StateKind& kind, KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

// The row of the filter table for a kind.
template <const StateKind& kKind>
constexpr FilterOps ops(const char* name) {
    return {
        name,
        [](KnoteQueue& kq, uintptr_t ident)
            KQ_NO_ANALYSIS { return fd_filter::find(kq, ident, kKind.filter); },
        fd_filter::absent,
        [](KnoteQueue& kq, const struct kevent& change)
            KQ_NO_ANALYSIS { return create(kKind, kq, change); },
        [](KnoteQueue& kq, Knote& kn) KQ_NO_ANALYSIS { return attach(kKind, kq, kn); },
        [](KnoteQueue& kq, Knote& kn) KQ_NO_ANALYSIS { return detach(kq, kn); },
        fd_filter::destroy,
        [](KnoteQueue& kq, Knote& kn, const struct kevent& change)
            KQ_NO_ANALYSIS { return modify(kKind, kq, kn, change); },
        [](KnoteQueue& kq, Knote& kn) KQ_NO_ANALYSIS { return enable(kKind, kq, kn); },
        [](KnoteQueue& kq, Knote& kn) KQ_NO_ANALYSIS { disable(kq, kn); },
        [](KnoteQueue& kq, Knote& kn, struct kevent& event)
            KQ_NO_ANALYSIS { return process(kKind, kq, kn, event); },
        [](KnoteQueue& kq, Knote& kn) KQ_NO_ANALYSIS { look(kKind, kq, kn); },
    };
}

// After a wakeup Kind::states: activates the knotes that the platform reports.
void hear(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

// Whether the number still is the open file of its knotes, as far as the platform reports states of
// it. descriptor::check_same() cannot tell two open files of one process or FIFO from each other.
// no_entry, bad_descriptor.
Errno ask_same(KnoteQueue& kq, int fd, const FdWatch& watch) KQ_REQUIRES(kq.mutex());

// The kqueue has a new kernel queue: tells the platform again what the knotes of a descriptor want.
// Errors of watch_state().
Errno tell_again(KnoteQueue& kq, int fd, const FdWatch& watch) KQ_REQUIRES(kq.mutex());
// After that: as hear(), but not knotes that were reported before, with EV_CLEAR.
void hear_news(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

}  // namespace kq::fd_state

#endif
