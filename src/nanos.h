// SPDX-License-Identifier: BSD-2-Clause
// Time as the core computes with it: signed 64-bit nanoseconds that saturate.
#ifndef KQ_NANOS_H
#define KQ_NANOS_H

#include <stdint.h>
#include <time.h>

#include <limits>

namespace kq {

using Nanos = int64_t;

inline constexpr Nanos kForever = INT64_MAX;  // never comes; saturated sums end here
inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kMillisecond = 1'000'000;

// The clocks a deadline can be on. Values index arrays.
enum class Clock : uint8_t {
    monotonic = 0,   // cannot be set; it may stand still while the machine is suspended
    realtime = 1,    // the wall clock; it can be set
    continuous = 2,  // as monotonic, but counts suspended time; not on every platform
};
inline constexpr int kClocks = 3;
inline constexpr int kCommonClocks = 2;  // the first ones: on every platform

inline Nanos saturating_add(Nanos a, Nanos b) {
    Nanos sum = 0;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return b > 0 ? kForever : INT64_MIN;
}

inline Nanos saturating_mul(Nanos a, Nanos b) {
    Nanos product = 0;
    if (!__builtin_mul_overflow(a, b, &product)) return product;
    return (a > 0) == (b > 0) ? kForever : INT64_MIN;
}

// A timespec is valid if it is not negative and its nanoseconds are below 1e9.
inline bool is_valid(const timespec& ts) {
    return ts.tv_sec >= 0 && ts.tv_nsec >= 0 && ts.tv_nsec < kSecond;
}

inline Nanos to_nanos(const timespec& ts) {
    return saturating_add(saturating_mul(ts.tv_sec, kSecond), ts.tv_nsec);
}

inline timespec to_timespec(Nanos t) {
    timespec ts{};
    constexpr Nanos kLatest = std::numeric_limits<time_t>::max();  // 32 bits on old systems
    ts.tv_sec = static_cast<time_t>(t / kSecond < kLatest ? t / kSecond : kLatest);
    ts.tv_nsec = static_cast<long>(t % kSecond);
    return ts;
}

}  // namespace kq

#endif
