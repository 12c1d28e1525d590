// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EXCEPT: urgent data, and the end of a connection (semantics 5.4). The capability `urgent`.
// The verbs are in fd_state.cc.
#include "fd_state.h"
#include "filter_numbers.h"

namespace kq {
namespace {

Errno suits(int /*fd*/, const FdFacts& facts) {
    const bool pollable = facts.kind != FdKind::regular && facts.kind != FdKind::directory &&
                          facts.kind != FdKind::always;
    return pollable ? Errno::ok : Errno::invalid;
}

Sample ask(int fd, const FdFacts& facts, uint32_t fflags) {
    Sample sample = descriptor::urgent(fd, facts);
    if ((fflags & kNoteOob) == 0) sample.active = false;  // the end alone
    return sample;
}

void fill(const Sample& sample, struct kevent& event) {
    event.fflags = sample.active ? kNoteOob : 0u;
    event.data = 0;
    if (sample.eof) event.flags |= EV_EOF;
}

constexpr fd_state::StateKind kKind{kEvfiltExcept, kNoteOob, 0, kUrgentData, suits, ask, fill};

}  // namespace

constinit const FilterOps kExceptFilter = fd_state::ops<kKind>("EVFILT_EXCEPT");

}  // namespace kq
