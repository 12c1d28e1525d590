// SPDX-License-Identifier: BSD-2-Clause
// Functions that posix/ and windows/ each define in their own way, and that no other header of
// support/ declares.
#ifndef KQTEST_WORLD_H
#define KQTEST_WORLD_H

#include <string>

namespace kqtest::world {

// Whether this is Wine, which differs from Windows in some things.
bool on_wine();

// Runs this test ten times, with KQ_NO_GAPS in the environment, in processes of its own.
bool passes_every_time(const std::string& test);

}  // namespace kqtest::world

#endif
