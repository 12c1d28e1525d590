// SPDX-License-Identifier: BSD-2-Clause
// The parts of net.h that depend on the system.
#include "support/net.h"

#include <windows.h>

#include <thread>

namespace kqtest {
namespace {

// How long after the last byte the system needs to finish what it does later: acknowledgements may
// take 200 ms. The system has no counter for which a test could wait.
constexpr milliseconds kQuiet{250};

// Whether `work`, done again and again, moved nothing for a while.
void until_quiet(const std::function<size_t()>& work) {
    auto last = now();
    while (since(last) < kQuiet) {
        if (work() != 0)
            last = now();
        else
            std::this_thread::sleep_for(milliseconds{1});
    }
}

}  // namespace

void send_descriptor(int /*socket*/, int /*fd*/) {
    ADD_FAILURE() << "a message cannot carry a descriptor on Windows";
}

int bytes_unsent(int /*fd*/) {
    return 0;  // the system does not count them
}

void fill_up(int fd, int /*peer*/) {
    until_quiet([&] { return fill(fd); });
}

void drain_from(int /*fd*/, int peer) {
    until_quiet([&] { return drain(peer); });
}

std::chrono::microseconds cpu_time() {
    FILETIME ignored;
    FILETIME kernel;
    FILETIME user;
    GetProcessTimes(GetCurrentProcess(), &ignored, &ignored, &kernel, &user);
    const auto micros = [](const FILETIME& time) {  // of 100 ns
        return std::chrono::microseconds{
            ((int64_t{time.dwHighDateTime} << 32) | int64_t{time.dwLowDateTime}) / 10};
    };
    return micros(kernel) + micros(user);
}

}  // namespace kqtest
