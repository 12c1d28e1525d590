// SPDX-License-Identifier: BSD-2-Clause
// Random programs on the model and on the library: any difference in result, errno or eventlist
// fails, and is shown by the smallest program that makes it.
//
// KQ_MODEL_OPERATIONS=n compares so many instead of the build's number, or of a fifth of it where a
// call takes longer; KQ_MODEL_SEED=n begins there, `time` anywhere.
#include <gtest/gtest.h>

#include <cstdio>

#include "model/player.h"
#include "model/real.h"
#include "support/library.h"

namespace kqmodel {
namespace {

TEST(Model, RandomProgramsAgreeWithTheLibrary) {
    Statistics statistics;
    const uint64_t seed = seed_wanted(1);
    const long operations = KQ_MODEL_OPERATIONS / (kqtest::on_linux() ? 1 : 5);
    const std::string story =
        search(real_traits(), make_real, seed, operations_wanted(operations), statistics);
    printf("seeds from %llu: %s\n", static_cast<unsigned long long>(seed),
           to_string(statistics).c_str());
    EXPECT_EQ(story, "");
}

}  // namespace
}  // namespace kqmodel
