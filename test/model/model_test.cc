// SPDX-License-Identifier: BSD-2-Clause
// Random programs run on the model and on the library. Any difference in result, errno or eventlist
// is a failure. The message shows a small program that still fails.
//
// KQ_MODEL_OPERATIONS=n compares n operations. The default is set by the build; outside of Linux it
// is a fifth of that, because calls take longer. KQ_MODEL_SEED=n begins with seed n,
// KQ_MODEL_SEED=time with a seed taken from the clock.
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
