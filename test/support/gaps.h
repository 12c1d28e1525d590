// Known gaps: rules that this backend cannot meet, by their ids in BUGS.md.
//
// A whole test that cannot pass is a row of the table in gaps.cc. It runs all the same, with
// less patience: where it fails it counts as skipped, and says which gap that was; where it
// passes the run fails, for the row, and perhaps the entry in BUGS.md, has to go.
//
// A test of which only a part cannot pass says KQ_GAP("id") there, and ends if the gap is here.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

namespace kqtest {

struct Gap {
    std::string_view id;  // a heading of BUGS.md
    bool here;            // in this build
};

#if defined(KQTEST_BACKEND_linux)
inline constexpr bool kOnLinux = true;
#else
inline constexpr bool kOnLinux = false;
#endif

inline constexpr Gap kGaps[] = {
    {"L-FIN-WRITE", kOnLinux},    // a peer's half close re-reports an EV_CLEAR WRITE
    {"L-PACKET-SHUT", kOnLinux},  // shutdown(SHUT_WR) of a packet socket is not seen
};

constexpr bool has_gap(std::string_view id) {
    for (const Gap& gap : kGaps)
        if (gap.id == id) return gap.here;
    return false;
}

}  // namespace kqtest

// For what is a matter of the Linux backend alone: its limits, its helpers, its words.
#define KQ_OF_LINUX()                                                       \
    do {                                                                    \
        if (!kqtest::kOnLinux) GTEST_SKIP() << "of the Linux backend only"; \
    } while (0)

#define KQ_GAP(id)                                                              \
    do {                                                                        \
        if (kqtest::has_gap(id)) GTEST_SKIP() << "known gap, see BUGS.md: " id; \
    } while (0)
