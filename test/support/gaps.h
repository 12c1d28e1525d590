// SPDX-License-Identifier: BSD-2-Clause
// Known gaps: rules that a backend cannot meet, with their ids in BUGS.md.
//
// A test that cannot pass as a whole has a row in the table of its backend, gaps_<backend>.inc. The
// test still runs, but waits for a shorter time. If it fails it counts as skipped, and its message
// names the gap (with KQ_SHOW_GAPS in the environment also the failures). If it passes, and then
// passes ten more times, the run fails: then the row must be removed, and perhaps the entry in
// BUGS.md. With KQ_NO_GAPS in the environment the tables do not count.
//
// A test whose row has kLeftOut does not run.
//
// If only a part of a test cannot pass, the test says KQ_GAP("id") there. It ends there if the
// library that runs has this gap.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "support/library.h"

namespace kqtest {

struct Gap {
    std::string_view id;       // a heading of BUGS.md
    std::string_view backend;  // that has this gap
};

inline constexpr Gap kGaps[] = {
    {"L-FIN-WRITE", "linux"},    // a peer's half close re-reports an EV_CLEAR WRITE
    {"L-PACKET-SHUT", "linux"},  // shutdown(SHUT_WR) of a packet socket is not seen
    {"P-SIGNAL-INFO", "posix"},  // a signal that was left pending has our value
    {"P-SIGNAL-INFO", "solaris"},
    {"P-SIGNAL-BLOCKED", "posix"},  // while a signal is left pending the next is dropped
    {"P-SIGNAL-BLOCKED", "solaris"},
    {"N-VANISHED", "solaris"},     // a port forgets a number that is closed
    {"P-VNODE-TOUCH", "solaris"},  // touched and then written, in another moment
};

inline bool has_gap(std::string_view id) {
    // A signal that is ignored after EV_ADD is lost if the library does not hear of that.
    if (id == "L-SIGNAL-REPLACED") return !hears_sigaction();
    for (const Gap& gap : kGaps)
        if (gap.id == id && gap.backend == backend()) return true;
    return false;
}

}  // namespace kqtest

#define KQ_GAP(id)                                                              \
    do {                                                                        \
        if (kqtest::has_gap(id)) GTEST_SKIP() << "known gap, see BUGS.md: " id; \
    } while (0)
