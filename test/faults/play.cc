// SPDX-License-Identifier: BSD-2-Clause
// See play.h.
#include "faults/play.h"

#include <unistd.h>

#include <cerrno>
#include <map>
#include <vector>

#include "faults/injector.h"
#include "faults/scenarios.h"
#include "support/kq.h"

namespace kqfaults {
namespace {

void drain() {
    const Inside inside;
    libkqueue_drain_pending_close();
}

// The error that kevent() reports after a refusal; 0: none, because the library works without.
int due_for(const Report& happened) {
    switch (happened.error) {
        case ENOSPC:
        case ENOBUFS:
            return ENOMEM;
        case ENOENT:  // no /proc
        case EPERM:
            return ENOTSUP;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case EIO:
        case EINTR:
            return happened.error;
        default:
            return 0;
    }
}

bool is_due(int error, const Scenario& scenario) {
    const Report happened = report();
    if (!happened.fired) return false;
    return error == due_for(happened) ||
           (happened.error == ENOENT && error == scenario.without_proc);
}

std::map<int, std::string> all_descriptors() {
    const Unlimited unlimited;
    return kqtest::open_descriptors();
}

}  // namespace

std::string play(const Scenario& scenario, std::function<void()> relieve,
                 std::function<void()> before, Account account) {
    const auto descriptors = all_descriptors();
    const long blocks = live_blocks();
    std::string wrong;
    try {
        Driver driver({[&scenario](int error) { return is_due(error, scenario); },
                       std::move(relieve), std::move(before)});
        scenario.run(driver);
    } catch (const Broken& broken) {
        wrong = broken.what();
    }
    drain();
    drain();  // the first drain may have been refused something
    if (!wrong.empty()) return wrong;
    const std::string unlisted = take_unlisted();
    if (!unlisted.empty()) return unlisted + " is not in the list: faults/calls.cc";
    if (account == Account::not_of_leaks) return "";
    for (const auto& [fd, what] : all_descriptors())
        if (!descriptors.contains(fd)) return "left open: " + std::to_string(fd) + ", " + what;
    const long left = live_blocks() - blocks;
    return left == 0 ? "" : "blocks of memory left: " + std::to_string(left);
}

void keep_room_for_kqueues() {
    constexpr int kSome = 8;
    std::vector<Fd> queues;
    for (int i = 0; i < kSome; i++)
        queues.emplace_back(::kqueue());
    queues.clear();
    drain();
}

bool is_possible(const Scenario& scenario) {
    if (scenario.needs == Needs::nothing) return true;
    if (scenario.needs == Needs::mounts) return may_mount();
    const Fd queue(::kqueue());
    struct kevent kev {};
    EV_SET(&kev, static_cast<uintptr_t>(getpid()), EVFILT_PROC, EV_ADD, NOTE_FORK, 0, nullptr);
    return ::kevent(*queue, &kev, 1, nullptr, 0, nullptr) == 0 || errno != ENOTSUP;
}

}  // namespace kqfaults
