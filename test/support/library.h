// SPDX-License-Identifier: BSD-2-Clause
// Which library this program runs with. The suite is built once, and runs with the library that the
// loader finds. So the tests ask the library for its backend when they run.
#ifndef KQTEST_LIBRARY_H
#define KQTEST_LIBRARY_H

#include <gtest/gtest.h>

#include <string_view>

namespace kqtest {

// The name of its platform directory, for example "linux" or "posix", as NOTE_VERSION_STR has it.
// Empty if the library has none: the C libkqueue. The first call opens a kqueue for a moment; later
// calls do nothing.
std::string_view backend();

inline bool on_linux() {
    return backend() == "linux";
}

// Whether the library has a sigaction() in front of the C library's, and so hears what the program
// does with signals. False under ThreadSanitizer, whose own sigaction() comes first.
bool hears_sigaction();

// Whether event ports are those of the model (test/eventport), which cannot do all that a kernel
// can.
bool on_model();
// The model learns a moment later what has happened. Until then poll() of a port may give the wrong
// answer: this waits until that is over. Call it before poll() of a kqueue. Without the model it
// does nothing.
void let_the_model_see(int port);
// Whether a number belongs to the model, and not to the program or the library.
bool is_of_the_model(int number);

}  // namespace kqtest

// For tests of what only one backend has: its limits, its helpers, its words.
#define KQ_OF(name)                                                                        \
    do {                                                                                   \
        if (kqtest::backend() != #name) GTEST_SKIP() << "of the backend '" #name "' only"; \
    } while (0)

#endif
