// SPDX-License-Identifier: BSD-2-Clause
// Plays a program on the model and on a subject, and compares after every step.
#ifndef KQMODEL_PLAYER_H
#define KQMODEL_PLAYER_H

#include <functional>
#include <memory>
#include <optional>

#include "model/subject.h"

namespace kqmodel {

struct Failure {
    size_t step = 0;
    std::string what;
};

struct Statistics {
    long programs = 0;
    long operations = 0;  // kevent() calls and what else a program does
    long calls = 0;
    long changes = 0;
    long refusals = 0;  // changes that were to fail, and receipts
    long events = 0;
};

using Maker = std::function<std::unique_ptr<Subject>()>;

// The first difference, if any.
std::optional<Failure> play(const Program& program, const Traits& traits, const Maker& make,
                            Statistics& statistics);

// A smaller program that fails, too. Steps and parts of steps are left out while it still fails.
Program shrink(Program program, const Traits& traits, const Maker& make);

// Makes and plays programs until `operations` are done. Returns nothing, or the first failure: its
// seed, the difference, and the shrunk program.
std::string search(const Traits& traits, const Maker& make, uint64_t seed, long operations,
                   Statistics& statistics);

// KQ_MODEL_OPERATIONS and KQ_MODEL_SEED in the environment, or else the argument.
long operations_wanted(long otherwise);
uint64_t seed_wanted(uint64_t otherwise);

std::string to_string(const Statistics& statistics);

}  // namespace kqmodel

#endif
