// SPDX-License-Identifier: BSD-2-Clause
// Shared by the tests of tracing: the levels, and the lines that the library writes.
#ifndef KQTEST_TRACE_H
#define KQTEST_TRACE_H

#include <sys/event.h>

#include <regex>
#include <string>
#include <vector>

#include "support/kq.h"

namespace kqtest {

// The levels.
inline constexpr intptr_t kOff = 0;
inline constexpr intptr_t kTrouble = 1;
inline constexpr intptr_t kEvents = 2;
inline constexpr intptr_t kAll = 3;
// What level 1 says, after the descriptor, of a call with room for -1 events.
inline constexpr char kRefused[] =
    ": kevent(0 changes, room for -1) = -1 EINVAL (a count is below 0)\n";

class TraceTest : public KqTest {
  protected:
    // Sets; says what was set before.
    intptr_t set(unsigned code, intptr_t data, void* udata = nullptr) const {
        const Result result =
            q.call({change(17, EVFILT_LIBKQUEUE, EV_ADD, code, data, udata)}, 1, &kAtOnce);
        EXPECT_EQ(result.ret, 1) << result;
        return result.ret == 1 ? result.events[0].data : -1;
    }
    // What the library writes while `act` runs, without the lines about switching on and off.
    template <class Act>
    std::string traced(intptr_t level, Act act) const {
        testing::internal::CaptureStderr();
        set(NOTE_DEBUG, level);
        act();
        set(NOTE_DEBUG, kOff);
        std::string said;
        std::string line;
        for (const char c : testing::internal::GetCapturedStderr()) {
            line += c;
            if (c != '\n') continue;
            if (line.find("traces at level") == std::string::npos &&
                line.find("EVFILT_LIBKQUEUE") == std::string::npos)
                said += line;
            line.clear();
        }
        return said + line;
    }
    // Without what differs each time: how long a call took, when that was, and the thread.
    static std::string without_times(const std::string& lines) {
        return std::regex_replace(lines, std::regex(kTimes), "");
    }
    // As a regular expression.
    static constexpr char kTimes[] =
        ", after [0-9]+\\.[0-9]{6} s, at [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6} UTC, "
        "thread [0-9]+";
    // The same about one call.
    std::string traced_call(intptr_t level, const std::vector<Event>& changes, int nevents,
                            const timespec* timeout) const {
        return traced(level, [&] { (void)q.call(changes, nevents, timeout); });
    }
    Queue q;
};

inline bool says(const std::string& all, const std::string& what) {
    return all.find(what) != std::string::npos;
}

}  // namespace kqtest

#endif
