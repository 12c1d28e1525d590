// Random programs on the model and on the library: any difference in result, errno or eventlist
// fails, and is shown by the smallest program that makes it.
//
// KQ_MODEL_OPERATIONS=n compares so many instead; KQ_MODEL_SEED=n begins there, `time` anywhere.
#include <gtest/gtest.h>

#include <cstdio>

#include "model/player.h"
#include "model/real.h"

namespace kqmodel {
namespace {

TEST(Model, RandomProgramsAgreeWithTheLibrary) {
    Statistics statistics;
    const uint64_t seed = seed_wanted(1);
    const std::string story =
        search(real_traits(), make_real, seed, operations_wanted(KQ_MODEL_OPERATIONS), statistics);
    printf("seeds from %llu: %s\n", static_cast<unsigned long long>(seed),
           to_string(statistics).c_str());
    EXPECT_EQ(story, "");
}

}  // namespace
}  // namespace kqmodel
