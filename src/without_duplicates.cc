// SPDX-License-Identifier: BSD-2-Clause
// A platform on which a kqueue has only one number. See registry_duplicates.cc, and platform.h,
// "capabilities".
#include "registry_cells.h"

namespace kq {

static_assert(!Backend::kHas.duplicates);

Errno Kqueue::adopt(int /*fd*/) {
    return Errno::unimplemented;
}
void Kqueue::move_to(int /*fd*/) {}
void Kqueue::keep_for_others(std::span<const Wakeup> /*wakeups*/) {}
void Kqueue::hand_over() {}

namespace registry {

void close_duplicates_in_child(Cell& /*cell*/, bool (* /*keep*/)(int)) {}
void forget_duplicates(Cell& /*cell*/) {}
bool rescue(Cell& /*cell*/) {
    return false;
}
void find_homes() {}
Errno learn_duplicate(int /*fd*/) {
    return Errno::bad_descriptor;
}
Errno check_duplicate(int /*fd*/, Kqueue* /*kqueue*/) {
    return Errno::bad_descriptor;
}

}  // namespace registry
}  // namespace kq
