// SPDX-License-Identifier: BSD-2-Clause
// A platform that does not tell of mounts: EVFILT_FS is refused. See filter_fs.cc, and
// platform.h, "capabilities".
#include "filter_fs.h"
#include "missing_filter.h"

namespace kq {
namespace {

constexpr char kFs[] = "EVFILT_FS";

}  // namespace

static_assert(!Backend::kHas.mounts);

constinit const FilterOps kFsFilter = missing_filter<kFs>();

namespace fs {

void hear(KnoteQueue& /*kq*/) {}

}  // namespace fs
}  // namespace kq
