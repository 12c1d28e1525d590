// SPDX-License-Identifier: BSD-2-Clause
// A platform without signals: EVFILT_SIGNAL is refused. See filter_signal.cc, signal_hub.cc, and
// platform.h, "capabilities".
#include "filter_signal.h"
#include "missing_filter.h"
#include "signal_hub.h"

namespace kq {
namespace {

constexpr char kSignal[] = "EVFILT_SIGNAL";

}  // namespace

static_assert(!Backend::kHas.signals);

constinit const FilterOps kSignalFilter = missing_filter<kSignal>();

void look_at_signals(KnoteQueue& /*kq*/) {}
bool take_only_signal(KnoteQueue& /*kq*/, struct kevent& /*event*/) {
    return false;
}

namespace signal_hub {

bool mend(uint64_t /*set*/) {
    return false;
}
void look_at_pending() {}
bool withdraw(Nanos& /*wait*/) {
    return false;
}
void put_back() {}
void before_fork() {}
void after_fork_in_parent() {}
void after_fork_in_child(bool /*clean*/) {}
void begin_anew_in_copy() {}

}  // namespace signal_hub
}  // namespace kq
