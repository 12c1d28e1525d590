// SPDX-License-Identifier: BSD-2-Clause
// Processes of the simulated system, for the tests of EVFILT_PROC.
#ifndef KQ_SIM_PROCESS_FIXTURE_H
#define KQ_SIM_PROCESS_FIXTURE_H

#include "sim_test.h"

namespace sim {

using What = kq::ProcessNews::What;

constexpr unsigned kExit = NOTE_EXIT;

class Processes : public Sim {
  protected:
    Queue q;

    Errno add(int32_t pid, unsigned fflags) {
        return q.change(static_cast<uintptr_t>(pid), EVFILT_PROC, EV_ADD, fflags);
    }
    static void fork(int32_t pid, int32_t child) {
        world().start(child);
        world().announce(What::forked, pid, child);
    }
    static void exit(int32_t pid, int status) {
        world().exit(pid, status);
        world().announce(What::exited, pid, status);
    }
    // Expects one event, and checks its values.
    void expect_only(const Kevents& events, int32_t pid, unsigned fflags, intptr_t data) {
        ASSERT_EQ(events.size(), 1u) << show(events);
        EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(pid)) << show(events);
        EXPECT_EQ(events[0].fflags, fflags) << show(events);
        EXPECT_EQ(events[0].data, data) << show(events);
    }
};

}  // namespace sim

#endif
