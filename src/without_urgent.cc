// SPDX-License-Identifier: BSD-2-Clause
// A platform without the capability `urgent`: EVFILT_EXCEPT is refused. See filter_except.cc, and
// platform.h, "capabilities".
#include "knote_queue.h"
#include "missing_filter.h"

namespace kq {
namespace {

constexpr char kExcept[] = "EVFILT_EXCEPT";

}  // namespace

static_assert(!Backend::kHas.urgent);

constinit const FilterOps kExceptFilter = missing_filter<kExcept>();

}  // namespace kq
