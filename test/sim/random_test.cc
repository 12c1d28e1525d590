// Random programs on model and library, seeds printed
// and the promise of kqueue.h, after every single call.
#include <cstdlib>

#include "program.h"

namespace sim {
namespace {

class Random : public Sim {
  protected:
    // KQ_SIM_PROGRAMS=n plays n programs instead.
    static void play(uint64_t first_seed, bool orderly) {
        const char* count = getenv("KQ_SIM_PROGRAMS");
        const uint64_t end = first_seed + (count == nullptr ? 400 : strtoull(count, nullptr, 10));
        for (uint64_t seed = first_seed; seed < end; seed++) {
            SCOPED_TRACE("seed " + std::to_string(seed));
            reset();
            Program program(seed, orderly);
            for (int step = 0; step < 400; step++) {
                SCOPED_TRACE("step " + std::to_string(step));
                program.step();
                if (HasFailure()) return;
            }
            program.finish();
            if (HasFailure()) return;
        }
    }
};

TEST_F(Random, OrderlyProgramsAgreeWithTheModel) {
    play(20'261'123, true);
}

// descriptors are closed under their knotes and their numbers reused.
TEST_F(Random, ProgramsThatReuseNumbersAgreeWithTheModel) {
    play(11'235'813, false);
}

}  // namespace
}  // namespace sim
