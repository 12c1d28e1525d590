// SPDX-License-Identifier: BSD-2-Clause
// A platform without the capability `procdesc`: EVFILT_PROCDESC is refused. See filter_procdesc.cc,
// and platform.h, "capabilities".
#include "knote_queue.h"
#include "missing_filter.h"

namespace kq {
namespace {

constexpr char kProcdesc[] = "EVFILT_PROCDESC";

}  // namespace

static_assert(!Backend::kHas.procdesc);

constinit const FilterOps kProcdescFilter = missing_filter<kProcdesc>();

}  // namespace kq
