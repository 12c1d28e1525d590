// SPDX-License-Identifier: BSD-2-Clause
// Workloads that are run over the library and over the bare kernel, and the tables they stand in:
// one table for each file pairs_*.cc, put together by pairs.cc.
#ifndef KQBENCH_PAIRS_H
#define KQBENCH_PAIRS_H

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "queues.h"

namespace kqbench {

// What one run of a workload found. `ns` is for one operation; of what else was measured, names
// and numbers: descriptors and heap bytes are per operation too.
struct Measurement {
    double ns = 0;
    std::vector<std::pair<const char*, double>> also;

    // Adds what the process holds more than `before`, per operation.
    void add_held(const Held& before, long operations);
};

inline Measurement per_op(int64_t nanoseconds, long operations) {
    return {static_cast<double>(nanoseconds) / static_cast<double>(operations), {}};
}

// The variants of a workload. `operations` is how many to make.
struct Variants {
    Measurement (*kq)(Use<KqQueue>, long operations);
    Measurement (*raw)(Use<RawQueue>, long operations);
    Measurement (*fair)(Use<FairQueue>, long operations);  // or null
};

// A bound on something in Measurement::also of the library.
struct Bound {
    const char* name = nullptr;
    double most = 0;  // if relative: times what `base` has
    bool relative = false;
};

struct Workload {
    const char* name;
    const char* what;
    long operations;
    long quick;        // operations of a run that is only to show that it works
    const char* base;  // the variant to compare with
    double target;     // the library's ns are to be at most so many times the base's
    Variants variants;
    Bound bounds[2] = {};  // those that have a name
};

// From a generic lambda that takes (Use<Queue>, operations).
template <class Body>
constexpr Variants kq_and_raw(Body body) {
    return {body, body, nullptr};
}
template <class Body>
constexpr Variants kq_raw_and_fair(Body body) {
    return {body, body, body};
}

std::span<const Workload> read_workloads();    // pairs_read.cc
std::span<const Workload> change_workloads();  // pairs_change.cc
std::span<const Workload> user_workloads();    // pairs_user.cc
std::span<const Workload> timer_workloads();   // pairs_timer.cc
std::span<const Workload> system_workloads();  // pairs_system.cc: files, processes, signals
std::span<const Workload> answer_workloads();  // pairs_answer.cc: two processes
std::span<const Workload> thread_workloads();  // pairs_thread.cc

}  // namespace kqbench

#endif
