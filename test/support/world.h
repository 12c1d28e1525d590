// SPDX-License-Identifier: BSD-2-Clause
// What the two worlds that the suite runs in, posix/ and windows/, each do in their own way, and no
// other header of support/ names.
#ifndef KQTEST_WORLD_H
#define KQTEST_WORLD_H

#include <string>

namespace kqtest::world {

// Whether this is Wine, which is not as Windows everywhere.
bool on_wine();

// Runs this test ten times, with KQ_NO_GAPS in the environment, in processes of its own.
bool passes_every_time(const std::string& test);

}  // namespace kqtest::world

#endif
