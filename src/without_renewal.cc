// SPDX-License-Identifier: BSD-2-Clause
// A platform whose kernel queue cannot be haunted, or cannot be replaced. Stale reports are
// tolerated (see scan.cc), and no code takes the place of renew.cc. See renewal.h, and platform.h,
// "capabilities".
#include "renewal.h"

namespace kq {

static_assert(!Backend::kHas.renewal && std::is_empty_v<RenewalIfAny>);

}  // namespace kq
