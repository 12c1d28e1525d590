// SPDX-License-Identifier: BSD-2-Clause
// A timer of high resolution. See alarm.h.
#include "alarm.h"

#include "sys.h"

#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
    #define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 0x2
#endif

namespace kq {
namespace {

constexpr Nanos kUnit = 100;  // of the system's times, in ns

void CALLBACK on_time(void* context, BOOLEAN /*timed_out*/) {
    static_cast<Bell*>(context)->wake_all();
}

}  // namespace

bool Alarm::prepare(Bell& bell) {
    if (wait_ != nullptr || refused_) return wait_ != nullptr;
    // Windows 10 1803 and later.
    timer_ = CreateWaitableTimerExW(nullptr, nullptr, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION,
                                    TIMER_ALL_ACCESS);
    const bool waits =
        timer_ != nullptr && RegisterWaitForSingleObject(&wait_, timer_, on_time, &bell, INFINITE,
                                                         WT_EXECUTEINWAITTHREAD) != 0;
    refused_ = !waits;
    if (!waits) wait_ = nullptr;
    return waits;
}

void Alarm::set(Bell& bell, Nanos at, Nanos now) {
    if (at_ > now && at_ <= at) return;
    if (!prepare(bell)) return;
    LARGE_INTEGER units;
    units.QuadPart = -((at - now + kUnit - 1) / kUnit);  // negative: from now on
    if (SetWaitableTimer(timer_, &units, 0, nullptr, nullptr, FALSE) != 0) at_ = at;
}

void Alarm::close() {
    if (timer_ != nullptr) (void)CancelWaitableTimer(timer_);  // no callback is to begin now
    if (wait_ != nullptr) (void)UnregisterWaitEx(wait_, INVALID_HANDLE_VALUE);
    if (timer_ != nullptr) CloseHandle(timer_);
    wait_ = nullptr;
    timer_ = nullptr;
}

}  // namespace kq
