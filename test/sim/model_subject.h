// SPDX-License-Identifier: BSD-2-Clause
// Random programs (test/model) on the core and the simulated kernel. The programs move the clock,
// wake the core without a reason, and make the system refuse.
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

// A system that reports once finds edges by looking. The traits then allow what P-EDGE of BUGS.md
// says.
kqmodel::Traits model_traits(bool one_shot = false);

// Makes a new world. Its queues end with the subject.
std::unique_ptr<kqmodel::Subject> make_subject(Variant variant);

}  // namespace sim

#endif
