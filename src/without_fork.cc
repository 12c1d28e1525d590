// SPDX-License-Identifier: BSD-2-Clause
// A platform on which processes do not fork. See registry_fork.cc, and platform.h, "capabilities".
#include "registry.h"
#include "registry_cells.h"

namespace kq::registry {

static_assert(!Backend::kHas.fork);

void prepare_for_forks() {}
void begin_anew() {}

// The setting is kept, although it has no effect.
bool set_fork_cleanup(bool wanted) {
    static constinit std::atomic<bool> fork_cleanup{true};
    return fork_cleanup.exchange(wanted);
}

}  // namespace kq::registry
