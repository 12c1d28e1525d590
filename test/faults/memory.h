// SPDX-License-Identifier: BSD-2-Clause
// Between injector.cc and memory.cc.
#ifndef KQFAULTS_MEMORY_H
#define KQFAULTS_MEMORY_H

namespace kqfaults {

bool is_inside();
bool refuses_allocation();  // counts one, inside
long live_blocks();

}  // namespace kqfaults

#endif
