// SPDX-License-Identifier: BSD-2-Clause
// Shared by the tests of EV_UDATA_SPECIFIC.
#ifndef KQTEST_SPECIFIC_H
#define KQTEST_SPECIFIC_H

#include <algorithm>
#include <vector>

#include "support/kq.h"

#ifdef EV_UDATA_SPECIFIC

namespace kqtest {

constexpr int kSpecific = EV_UDATA_SPECIFIC;
constexpr int kRemove = EV_DELETE | EV_ENABLE;  // deletes at once, also with EV_DISPATCH: R-341

// The udata of the events, smallest first.
inline std::vector<uintptr_t> tags(const std::vector<Event>& events) {
    std::vector<uintptr_t> all;
    for (const Event& event : events)
        all.push_back(reinterpret_cast<uintptr_t>(event.udata));
    std::sort(all.begin(), all.end());
    return all;
}
using Tags = std::vector<uintptr_t>;

class Specific : public KqTest {
  protected:
    static Event user(int flags, uintptr_t udata, unsigned fflags = 0) {
        return change(1, EVFILT_USER, flags, fflags, 0, tag(udata));
    }
    Queue q;
};

}  // namespace kqtest

#endif
#endif
