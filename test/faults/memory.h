// SPDX-License-Identifier: BSD-2-Clause
// Functions that injector.cc and memory.cc share.
#ifndef KQFAULTS_MEMORY_H
#define KQFAULTS_MEMORY_H

namespace kqfaults {

bool is_inside();
bool refuses_allocation();  // counts one allocation inside the library
long live_blocks();

}  // namespace kqfaults

#endif
