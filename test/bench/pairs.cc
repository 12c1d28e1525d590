// SPDX-License-Identifier: BSD-2-Clause
// kq_pairs: one workload over kevent(), or over the bare kernel interface, in a process of its own.
//
//     kq_pairs WORKLOAD kq|raw|fair [OPERATIONS]     one line of JSON: what was measured
//     kq_pairs --list                                a line of JSON for each workload
//
// kq is the library, raw the calls of Linux that a program would make itself, fair raw plus what
// an event's `data` obliges any kqueue to ask: one FIONREAD for each READ event, SO_MEMINFO and a
// send() of nothing for each WRITE event of a socket. run.py runs the variants in turn and
// compares.
#include "pairs.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace kqbench {

void Measurement::add_held(const Held& before, long operations) {
    const Held now;
    const auto each = [operations](double more) { return more / static_cast<double>(operations); };
    also.emplace_back("fds", each(now.descriptors - before.descriptors));
    also.emplace_back("heap",
                      each(static_cast<double>(now.heap) - static_cast<double>(before.heap)));
}

namespace {

std::vector<const Workload*> all_workloads() {
    std::vector<const Workload*> all;
    for (const auto table :
         {read_workloads(), change_workloads(), user_workloads(), timer_workloads(),
          system_workloads(), answer_workloads(), thread_workloads()})
        for (const Workload& workload : table)
            all.push_back(&workload);
    return all;
}

void list() {
    for (const Workload* w : all_workloads()) {
        (void)std::printf(R"({"workload": "%s", "what": "%s", "operations": %ld, "quick": %ld, )",
                          w->name, w->what, w->operations, w->quick);
        (void)std::printf(R"("base": "%s", "target": %g, "fair": %s, "bounds": [)", w->base,
                          w->target, w->variants.fair != nullptr ? "true" : "false");
        const char* comma = "";
        for (const Bound& bound : w->bounds) {
            if (bound.name == nullptr) continue;
            (void)std::printf(R"(%s{"name": "%s", "most": %g, "relative": %s})", comma, bound.name,
                              bound.most, bound.relative ? "true" : "false");
            comma = ", ";
        }
        (void)std::puts("]}");
    }
}

// False if the workload has no such variant.
bool measure(const Workload& workload, std::string_view variant, long operations,
             Measurement& found) {
    const Variants& variants = workload.variants;
    if (variant == "kq")
        found = variants.kq({}, operations);
    else if (variant == "raw")
        found = variants.raw({}, operations);
    else if (variant == "fair" && variants.fair != nullptr)
        found = variants.fair({}, operations);
    else
        return false;
    return true;
}

int run(std::string_view name, const char* variant, long operations) {
    for (const Workload* workload : all_workloads()) {
        if (workload->name != name) continue;
        if (operations <= 0) operations = workload->operations;
        Measurement found;
        if (!measure(*workload, variant, operations, found)) break;
        (void)std::printf(R"({"workload": "%s", "variant": "%s", "operations": %ld, "ns": %.1f)",
                          workload->name, variant, operations, found.ns);
        for (const auto& [what, number] : found.also)
            (void)std::printf(R"(, "%s": %.2f)", what, number);
        (void)std::printf(", \"rss_kib\": %ld}\n", resident_kib());
        return 0;
    }
    (void)std::fprintf(stderr, "no such workload or variant\n");
    return 2;
}

}  // namespace
}  // namespace kqbench

int main(int argc, char** argv) {
    kqbench::raise_file_limit();
    if (argc == 2 && std::string_view(argv[1]) == "--list") return kqbench::list(), 0;
    if (argc == 3 || argc == 4)
        return kqbench::run(argv[1], argv[2], argc == 4 ? std::strtol(argv[3], nullptr, 10) : 0);
    (void)std::fprintf(stderr, "usage: kq_pairs WORKLOAD kq|raw|fair [OPERATIONS], or --list\n");
    return 2;
}
