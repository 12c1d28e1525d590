// SPDX-License-Identifier: BSD-2-Clause
// libFuzzer: the bytes are choices, and make a program of the model. The library is compared with
// the model. See model/program.h and model/player.h.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "model/player.h"
#include "model/real.h"

// A kevent() that sleeps would fail with EINTR at the fuzzer's alarm, which would be right.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    return pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr int kSteps = 200;
    static const kqmodel::Traits traits = kqmodel::real_traits();
    kqmodel::Choices choices(std::span(data, size));
    const kqmodel::Program program = kqmodel::make_program(choices, traits, kSteps);
    kqmodel::Statistics statistics;
    const auto failure = kqmodel::play(program, traits, kqmodel::make_real, statistics);
    const bool refused = testing::UnitTest::GetInstance()->ad_hoc_test_result().Failed();
    if (!failure && !refused) return 0;
    const std::string what = failure ? failure->what : "the test itself was refused something";
    (void)fprintf(stderr, "step %zu: %s\nThe program, shrunk to what fails still:\n%s\n",
                  failure ? failure->step : 0, what.c_str(),
                  kqmodel::to_string(kqmodel::shrink(program, traits, kqmodel::make_real)).c_str());
    abort();
}
