// SPDX-License-Identifier: BSD-2-Clause
// Random programs on the model (test/model) and on the core. Every answer and every event is
// compared. After every call the promise of kqueue.h is checked. Timers are exact to the
// nanosecond. There are faults, and wakeups without a reason.
//
// KQ_MODEL_OPERATIONS=n compares n operations in each variant. KQ_MODEL_SEED=n begins with seed n.
#include "model/player.h"
#include "model_subject.h"

namespace sim {
namespace {

class ModelSim : public testing::TestWithParam<Variant> {};

TEST_P(ModelSim, RandomProgramsAgreeWithTheCore) {
    const kqmodel::Maker make = [] { return make_subject(GetParam()); };
    kqmodel::Statistics statistics;
    const uint64_t number = (GetParam().one_shot ? 4 : 0) + (GetParam().share_lanes ? 2 : 0) +
                            (GetParam().single_threaded ? 1 : 0);
    const uint64_t seed = kqmodel::seed_wanted(1 + 1'000'000 * number);
    const std::string story =
        kqmodel::search(model_traits(GetParam().one_shot), make, seed,
                        kqmodel::operations_wanted(KQ_MODEL_OPERATIONS), statistics);
    printf("seeds from %llu: %s\n", static_cast<unsigned long long>(seed),
           to_string(statistics).c_str());
    EXPECT_EQ(story, "");
}

INSTANTIATE_TEST_SUITE_P(, ModelSim,
                         testing::Values(Variant{false, false}, Variant{false, true},
                                         Variant{true, false}, Variant{true, true},
                                         Variant{false, false, true}, Variant{false, true, true}),
                         [](const testing::TestParamInfo<Variant>& variant) {
                             const Variant& v = variant.param;
                             return std::string(v.one_shot      ? "one_shot"
                                                : v.share_lanes ? "shared"
                                                                : "own") +
                                    (v.single_threaded ? "_single" : "_several");
                         });

}  // namespace
}  // namespace sim
