// SPDX-License-Identifier: BSD-2-Clause
// What a READ knote costs in heap where no process may have so many descriptors: the core on the
// simulated system (test/sim), which has as many numbers as one likes.
//
// The library takes its memory by malloc(), the simulated kernel by operator new: what that takes
// is counted here and left out. memory_test.cc measures the same on the real system as far as
// RLIMIT_NOFILE goes; at 9,000 the two must agree, since a platform keeps nothing for a descriptor
// but the FdFacts inside the core's FdWatch.
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <new>
#include <string>

#include "sim/sim_test.h"

namespace {

// Bytes that operator new has taken from malloc() and not given back, as mallinfo2() counts them.
size_t taken_by_new;

size_t chunk_of(void* memory) {
    return ::malloc_usable_size(memory) + sizeof(size_t);
}

}  // namespace

void* operator new(size_t size) {
    void* memory = std::malloc(size);
    if (memory == nullptr) std::abort();
    taken_by_new += chunk_of(memory);
    return memory;
}

void operator delete(void* memory) noexcept {
    if (memory == nullptr) return;
    taken_by_new -= chunk_of(memory);
    std::free(memory);
}

void operator delete(void* memory, size_t) noexcept {
    operator delete(memory);
}

namespace sim {
namespace {

constexpr int kFirst = 64;
constexpr int kBatch = 512;  // changes in one call
constexpr int kLimit = 145;

size_t library_heap() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd - taken_by_new;
}

class SimMemory : public Sim, public testing::WithParamInterface<int> {};

// Every second number is in use.
TEST_P(SimMemory, OfAReadKnote) {
    const int count = GetParam();
    for (int i = 0; i < count; i++)
        ASSERT_EQ(world().open(FdKind::pipe, kFirst + 2 * i), kFirst + 2 * i);
    Queue queue;
    const size_t before = library_heap();
    for (int done = 0; done < count;) {
        Kevents changes;
        for (; changes.size() < kBatch && done < count; done++)
            changes.push_back(
                change(static_cast<uintptr_t>(kFirst + 2 * done), EVFILT_READ, EV_ADD));
        ASSERT_EQ(queue.apply(changes), Errno::ok);
    }
    const double bytes = static_cast<double>(library_heap() - before) / count;
    RecordProperty("bytes_per_knote", std::to_string(bytes));
    std::cout << "heap: " << bytes << " bytes a knote, " << count << " knotes\n";
    EXPECT_LE(bytes, kLimit);
    EXPECT_GE(bytes, 16) << "no knote is that small: the measure does not see the library's heap";
}

INSTANTIATE_TEST_SUITE_P(At, SimMemory, testing::Values(9'000, 200'000),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace sim
