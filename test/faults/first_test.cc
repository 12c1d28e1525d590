// SPDX-License-Identifier: BSD-2-Clause
// The library makes some things only once in a process, and keeps them. The system refuses to make
// them. Each test runs in a process of its own.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "faults/injector.h"
#include "faults/play.h"
#include "faults/scenarios.h"
#include "platform.h"
#include "support/leave.h"

namespace kqfaults {
namespace {

// Exit codes of such a process. None of them is 0, because a process that runs no test ends with 0.
enum Outcome : int { kWrong = 1, kNoSuchReason = 2, kNoSuchPosition = 3, kRefused = 4 };

unsigned number(const char* name) {
    const char* value = getenv(name);
    return value == nullptr ? 0 : static_cast<unsigned>(strtoul(value, nullptr, 10));
}

// Whether a child that the library did not see being made knows that it is a copy (mark_process()).
bool copies_know_themselves() {
    const long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) kqtest::leave(kq::is_copy_of_process() ? 0 : 1);
    int status = -1;
    return waitpid(static_cast<pid_t>(pid), &status, 0) == pid && status == 0;
}

// More kqueues than the first mailboxes can serve, and a number beyond the first part of the
// registry.
void many_queues(Driver& d) {
    constexpr int kMore = 40;
    constexpr int kBeyond = 1100;
    std::vector<Fd> queues;
    for (int i = 0; i < kMore; i++) {
        queues.push_back(d.kqueue());
        d.change(queues.back(), SIGUSR1, EVFILT_SIGNAL, EV_ADD);
    }
    d.raise_signal(SIGUSR1);
    for (const Fd& queue : queues)
        d.expect(queue, {{SIGUSR1, EVFILT_SIGNAL}});
    const Fd other = another(queues.front(), kBeyond);
    if (!other) return;
    d.change(other, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
    d.expect(other, {{1, EVFILT_USER}});
}

Scenario first_scenario(bool many) {
    if (many) return {"many_queues", many_queues, Needs::nothing, EBADF};
    for (const Scenario& one : scenarios())
        if (strcmp(one.name, "signals") == 0) return one;
    abort();
}

// Not a test by itself: run_first() runs it.
TEST(FirstUse, InAProcessOfItsOwn) {
    if (getenv("KQ_FIRST_WHAT") == nullptr) GTEST_SKIP() << "played by the others";
    const Scenario scenario = first_scenario(number("KQ_FIRST_MANY") != 0);
    (void)prepare();
    arm(static_cast<What>(number("KQ_FIRST_WHAT")), number("KQ_FIRST_POSITION"),
        number("KQ_FIRST_REASON"));
    std::string wrong = play(
        scenario, [] {}, {}, Account::not_of_leaks);
    const Report happened = report();
    arm(What::nothing);
    for (int i = 0; i < 2 && wrong.empty(); i++)  // now the refused things can be made
        wrong = play(
            scenario, [] {}, {}, i == 0 ? Account::not_of_leaks : Account::all);
    const bool never = happened.error == EINVAL;  // this kernel does not know MADV_WIPEONFORK
    if (wrong.empty() && !never && !copies_know_themselves())
        wrong = "a copy of the process is not known";
    if (!wrong.empty()) fprintf(stderr, "%s: %s\n", happened.what.c_str(), wrong.c_str());
    kqtest::leave(!wrong.empty()     ? kWrong
                  : happened.fired   ? kRefused
                  : happened.reached ? kNoSuchReason
                                     : kNoSuchPosition);
}

int run_first(What what, unsigned position, unsigned reason, bool many = false) {
    std::string filter = "--gtest_filter=FirstUse.InAProcessOfItsOwn";
    std::string brief = "--gtest_brief=1";
    std::string name = "kq_faults";
    char* arguments[] = {name.data(), filter.data(), brief.data(), nullptr};
    (void)setenv("KQ_FIRST_WHAT", std::to_string(static_cast<int>(what)).c_str(), 1);
    (void)setenv("KQ_FIRST_POSITION", std::to_string(position).c_str(), 1);
    (void)setenv("KQ_FIRST_REASON", std::to_string(reason).c_str(), 1);
    for (const char* shard : {"GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX"})  // or no test might run
        (void)unsetenv(shard);
    (void)setenv("KQ_FIRST_MANY", many ? "1" : "0", 1);
    pid_t pid = -1;
    int status = -1;
    if (posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, arguments, environ) != 0) return -1;
    (void)waitpid(pid, &status, 0);
    (void)unsetenv("KQ_FIRST_WHAT");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(FirstUse, EverySystemCallOnce) {
    if (!prepare()) GTEST_SKIP() << "system calls cannot be refused here";
    unsigned refused = 0;
    int outcome = kRefused;
    unsigned position = 1;
    for (; outcome == kRefused || outcome == kNoSuchReason; position++)
        for (unsigned reason = 0; reason < kMostReasons; reason++) {
            outcome = run_first(What::system_call, position, reason);
            if (outcome != kRefused) break;
            refused++;
        }
    EXPECT_EQ(outcome, kNoSuchPosition) << "at position " << position - 1;
    printf("%u system calls refused, at %u positions\n", refused, position - 2);
    EXPECT_GT(refused, 0u);
}

TEST(FirstUse, EveryAllocationOnce) {
    for (const bool many : {false, true}) {
        unsigned refused = 0;
        while (run_first(What::allocation, refused + 1, 0, many) == kRefused)
            refused++;
        EXPECT_EQ(run_first(What::allocation, refused + 1, 0, many), kNoSuchPosition);
        printf("%u allocations refused\n", refused);
        EXPECT_GT(refused, 0u);
    }
}

}  // namespace
}  // namespace kqfaults
