// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROCDESC: the process that a descriptor names has ended (semantics 5.7). The capability
// `procdesc`. The verbs are in fd_state.cc.
#include "fd_state.h"
#include "filter_numbers.h"

namespace kq {
namespace {

Errno suits(int fd, const FdFacts& /*facts*/) {
    return processes::check_descriptor(fd);
}

Sample ask(int fd, const FdFacts& /*facts*/, uint32_t fflags) {
    Sample sample;
    int status = 0;
    if ((fflags & NOTE_EXIT) == 0) return sample;
    sample.active = processes::ask_descriptor(fd, status) != Life::running;
    sample.data = status;
    return sample;
}

void fill(const Sample& sample, struct kevent& event) {
    event.fflags = NOTE_EXIT;
    event.data = static_cast<intptr_t>(sample.data);
    event.flags |= EV_EOF | EV_ONESHOT;  // nothing more can happen to it
}

constexpr fd_state::StateKind kKind{
    kEvfiltProcdesc, NOTE_EXIT | NOTE_EXITSTATUS, EV_CLEAR, kProcessEnded, suits, ask, fill};

}  // namespace

constinit const FilterOps kProcdescFilter = fd_state::ops<kKind>("EVFILT_PROCDESC");

}  // namespace kq
