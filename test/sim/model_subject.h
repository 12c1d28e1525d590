// SPDX-License-Identifier: BSD-2-Clause
// Random programs (test/model) on the core and the simulated kernel: a clock that is ours, wakeups
// for nothing, a system that refuses.
#ifndef KQ_SIM_MODEL_SUBJECT_H
#define KQ_SIM_MODEL_SUBJECT_H

#include <memory>

#include "model/subject.h"
#include "sim_test.h"

namespace sim {

// Variants of the simulated system: World::share_lanes, ::single_threaded and ::one_shot.
struct Variant {
    bool share_lanes = false;
    bool single_threaded = false;
    bool one_shot = false;
};

// A system that reports once tells edges by looking: with what P-EDGE of BUGS.md allows.
kqmodel::Traits model_traits(bool one_shot = false);

// A new world, whose queues are gone when the subject is.
std::unique_ptr<kqmodel::Subject> make_subject(Variant variant);

}  // namespace sim

#endif
