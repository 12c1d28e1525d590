// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EMPTY: all written data has left (semantics 5.3). The capability `unsent`. The verbs are
// in fd_state.cc. No kernel reports this, so the descriptor is looked at as long as data is left.
#include "fd_state.h"
#include "filter_numbers.h"

namespace kq {
namespace {

Errno suits(int fd, const FdFacts& facts) {
    const bool writes = is_socket(facts.kind) || (facts.kind == FdKind::pipe && facts.writable_end);
    return writes ? descriptor::unsent(fd, facts).error() : Errno::invalid;
}

Sample ask(int fd, const FdFacts& facts, uint32_t /*fflags*/) {
    Sample sample;
    const Result<int64_t> bytes = descriptor::unsent(fd, facts);
    sample.closed = bytes.error() == Errno::bad_descriptor;
    sample.active = bytes.ok() && bytes.value() == 0;
    return sample;
}

void fill(const Sample& /*sample*/, struct kevent& event) {
    event.fflags = 0;
    event.data = 0;
}

constexpr fd_state::StateKind kKind{kEvfiltEmpty, 0, 0, 0, suits, ask, fill};

}  // namespace

constinit const FilterOps kEmptyFilter = fd_state::ops<kKind>("EVFILT_EMPTY");

}  // namespace kq
