// SPDX-License-Identifier: BSD-2-Clause
// A platform without the capability `unsent`: EVFILT_EMPTY is refused. See filter_empty.cc, and
// platform.h, "capabilities".
#include "knote_queue.h"
#include "missing_filter.h"

namespace kq {
namespace {

constexpr char kEmpty[] = "EVFILT_EMPTY";

}  // namespace

static_assert(!Backend::kHas.unsent);

constinit const FilterOps kEmptyFilter = missing_filter<kEmpty>();

}  // namespace kq
