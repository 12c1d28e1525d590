// SPDX-License-Identifier: BSD-2-Clause
// A platform that does not tell of processes: EVFILT_PROC is refused. See filter_proc.cc,
// process_hub.cc, and platform.h, "capabilities".
#include "filter_proc.h"
#include "missing_filter.h"

namespace kq {
namespace {

constexpr char kProc[] = "EVFILT_PROC";

}  // namespace

static_assert(!Backend::kHas.processes);

constinit const FilterOps kProcFilter = missing_filter<kProc>();

namespace proc {

void on_wakeup(KnoteQueue& /*kq*/, Handle /*handle*/) {}
void hear(KnoteQueue& /*kq*/) {}
void read_letters(KnoteQueue& /*kq*/) {}

}  // namespace proc

namespace process_hub {

void forget(Mailbox& /*mailbox*/) {}
void lock_before_fork() {}
void unlock_in_parent() {}
void after_fork_in_child(bool /*clean*/) {}
void begin_anew_in_copy() {}

}  // namespace process_hub
}  // namespace kq
