// SPDX-License-Identifier: BSD-2-Clause
// Makes and plays many programs, and shrinks one that fails. See player.h.
#include <cstdlib>
#include <ctime>

#include "model/player.h"

namespace kqmodel {
namespace {

constexpr int kSteps = 200;

class Shrinker {
  public:
    Shrinker(const Traits& traits, const Maker& make) : traits_(traits), make_(make) {}

    // Leaves out as much as possible, in smaller and smaller parts. Then simplifies the rest.
    Program run(Program program) {
        cut(program);
        for (size_t size = program.size() / 2; size > 0 && patient(); size /= 2)
            for (size_t at = 0; at < program.size() && patient();)
                if (!without(program, at, size)) at += size;
        for (size_t i = 0; i < program.size(); i++)
            simplify(program, i);
        while (patient() && one_less(program)) {
        }
        return program;
    }

  private:
    static constexpr int kTries = 3000;
    static constexpr time_t kSeconds = 20;

    [[nodiscard]] bool patient() const {
        return tries_ < kTries && time(nullptr) - began_ < kSeconds;
    }

    bool fails(const Program& program) {
        tries_++;
        Statistics ignored;
        return play(program, traits_, make_, ignored).has_value();
    }

    // What comes after the failure.
    void cut(Program& program) {
        Statistics ignored;
        const std::optional<Failure> failure = play(program, traits_, make_, ignored);
        if (failure) program.resize(failure->step + 1);
    }

    bool take(Program& program, Program candidate) {
        if (!patient() || !fails(candidate)) return false;
        program = std::move(candidate);
        return true;
    }

    bool without(Program& program, size_t at, size_t size) {
        Program candidate = program;
        const auto first = candidate.begin() + static_cast<long>(at);
        const size_t count = std::min(size, candidate.size() - at);
        candidate.erase(first, first + static_cast<long>(count));
        return take(program, std::move(candidate));
    }

    bool one_less(Program& program) {
        for (size_t at = 0; at < program.size(); at++)
            if (without(program, at, 1)) return true;
        return false;
    }

    void simplify(Program& program, size_t i) {
        for (size_t c = program[i].changes.size(); c-- > 0;) {
            Program candidate = program;
            candidate[i].changes.erase(candidate[i].changes.begin() + static_cast<long>(c));
            if (take(program, std::move(candidate))) continue;
            for (unsigned bit = 1; bit <= 0x8000; bit *= 2) {
                if ((program[i].changes[c].flags & bit) == 0) continue;
                candidate = program;
                candidate[i].changes[c].flags &= ~bit;
                (void)take(program, std::move(candidate));
            }
            candidate = program;
            candidate[i].changes[c].fflags = 0;
            candidate[i].changes[c].data = 0;
            candidate[i].changes[c].tag = 0;
            (void)take(program, std::move(candidate));
        }
        Program candidate = program;
        candidate[i].alias = false;
        candidate[i].wait = Wait::none;
        (void)take(program, std::move(candidate));
        candidate = program;
        candidate[i].count = 1;
        (void)take(program, std::move(candidate));
    }

    Traits traits_;
    const Maker& make_;
    int tries_ = 0;
    time_t began_ = time(nullptr);
};

const char* variable(const char* name) {
    const char* value = getenv(name);
    return value == nullptr || *value == '\0' ? nullptr : value;
}

}  // namespace

Program shrink(Program program, const Traits& traits, const Maker& make) {
    return Shrinker(traits, make).run(std::move(program));
}

std::string search(const Traits& traits, const Maker& make, uint64_t seed, long operations,
                   Statistics& statistics) {
    for (; statistics.operations < operations; seed++) {
        Choices choices(seed);
        const Program program = make_program(choices, traits, kSteps);
        const std::optional<Failure> failure = play(program, traits, make, statistics);
        if (!failure) continue;
        const Program smaller = shrink(program, traits, make);
        Statistics ignored;
        const std::optional<Failure> again = play(smaller, traits, make, ignored);
        std::string story = "KQ_MODEL_SEED=" + std::to_string(seed) + ", step " +
                            std::to_string(failure->step) + ": " + failure->what +
                            "\nThe program, shrunk to what fails still:\n" + to_string(smaller);
        story += again ? "step " + std::to_string(again->step) + ": " + again->what
                       : "(it depends on the moment: " + std::to_string(program.size()) +
                             " steps, this time without a failure)";
        return story;
    }
    return "";
}

long operations_wanted(long otherwise) {
    const char* value = variable("KQ_MODEL_OPERATIONS");
    return value == nullptr ? otherwise : strtol(value, nullptr, 10);
}

uint64_t seed_wanted(uint64_t otherwise) {
    const char* value = variable("KQ_MODEL_SEED");
    if (value == nullptr) return otherwise;
    if (value == std::string("time")) return static_cast<uint64_t>(time(nullptr)) << 24;
    return strtoull(value, nullptr, 10);
}

std::string to_string(const Statistics& s) {
    return std::to_string(s.operations) + " operations compared in " + std::to_string(s.programs) +
           " programs: " + std::to_string(s.calls) + " calls with " + std::to_string(s.changes) +
           " changes (" + std::to_string(s.refusals) + " errors and receipts), " +
           std::to_string(s.events) + " events";
}

}  // namespace kqmodel
