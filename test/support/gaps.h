// Known gaps: rules that this platform cannot meet, by their ids in BUGS.md.
//
// A test of such a rule says KQ_GAP("id") where it would fail; it is skipped on
// the platforms that the table names and must pass everywhere else.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

namespace kqtest {

struct Gap {
    std::string_view id;  // a heading of BUGS.md
    bool here;            // in this build
};

#if defined(__linux__)
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

#define KQ_GAP(id)                                                              \
    do {                                                                        \
        if (kqtest::has_gap(id)) GTEST_SKIP() << "known gap, see BUGS.md: " id; \
    } while (0)
