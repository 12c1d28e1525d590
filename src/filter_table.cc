// SPDX-License-Identifier: BSD-2-Clause
// The table of filters, indexed by ~filter (-1 is row 0).
#include "farewell.h"
#include "filter.h"

namespace kq {
namespace {

constexpr const FilterOps* kFilters[EVFILT_SYSCOUNT + 1] = {
    &kReadFilter,      // -1
    &kWriteFilter,     // -2
    &kMissingAio,      // -3
    &kVnodeFilter,     // -4
    &kProcFilter,      // -5
    &kSignalFilter,    // -6
    &kTimerFilter,     // -7
    &kMissingNetdev,   // -8
    &kFsFilter,        // -9
    &kMissingLio,      // -10
    &kUserFilter,      // -11
    nullptr,           // -12 EVFILT_LIBKQUEUE: answered before it comes to knotes
    &kEmptyFilter,     // -13
    &kProcdescFilter,  // -14
    &kExceptFilter,    // -15
    &kFarewell,        // -16 farewell::kFilter: of no change
};
static_assert(farewell::kFilter == -EVFILT_SYSCOUNT - 1);

}  // namespace

const FilterOps* find_filter(short filter) {
    if (filter >= 0 || filter + EVFILT_SYSCOUNT < 0) return nullptr;
    return kFilters[~filter];
}

const FilterOps* ops_of(const Knote& kn) {
    return kFilters[~kn.filter];
}

}  // namespace kq
