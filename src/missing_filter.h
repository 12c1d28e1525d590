// SPDX-License-Identifier: BSD-2-Clause
// A row of the filter table for a filter that this build does not have. The row refuses EV_ADD with
// ENOSYS, and says so on stderr once: nothing fails or succeeds silently.
#ifndef KQ_MISSING_FILTER_H
#define KQ_MISSING_FILTER_H

#include <atomic>

#include "filter.h"

namespace kq {

// Says on stderr what is missing, unless that was said before.
void say_missing_once(const char* what, std::atomic<bool>& said);

// A string can be a template argument only as an object with linkage.
template <const char* Name>
constexpr FilterOps missing_filter() {
    FilterOps ops{};
    ops.name = Name;
    ops.find = [](KnoteQueue&, uintptr_t) -> Result<Knote*> { return nullptr; };
    ops.absent = never_added;
    ops.create = [](KnoteQueue&, const struct kevent&) -> Result<Knote*> {
        static constinit std::atomic<bool> said{false};
        say_missing_once(Name, said);
        return Errno::unimplemented;
    };
    return ops;  // the other verbs need a knote, and there is none
}

}  // namespace kq

#endif
