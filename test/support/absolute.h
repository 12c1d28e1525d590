// SPDX-License-Identifier: BSD-2-Clause
// Points in time in the form that NOTE_ABSOLUTE takes, for every width of `data`.
#ifndef KQTEST_ABSOLUTE_H
#define KQTEST_ABSOLUTE_H

#include <sys/event.h>

#include <chrono>
#include <cstdint>

namespace kqtest {

constexpr bool kWideData = sizeof(intptr_t) >= sizeof(int64_t);

// What EV_ADD of a timer takes, and the moment itself.
struct Absolute {
    unsigned fflags;
    intptr_t data;
    std::chrono::system_clock::time_point at;
};

template <class Unit>
Absolute absolute_in(unsigned unit, std::chrono::system_clock::time_point moment) {
    const auto rounded = std::chrono::ceil<Unit>(moment);
    return {NOTE_ABSOLUTE | unit, static_cast<intptr_t>(rounded.time_since_epoch().count()),
            rounded};
}

// The first moment that is not before `moment`, in milliseconds. If data has 32 bits, only seconds
// since the Epoch fit: L-DATA-32.
inline Absolute absolute(std::chrono::system_clock::time_point moment) {
    return kWideData ? absolute_in<std::chrono::milliseconds>(0, moment)
                     : absolute_in<std::chrono::seconds>(NOTE_SECONDS, moment);
}

}  // namespace kqtest

#endif
