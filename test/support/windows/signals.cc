// SPDX-License-Identifier: BSD-2-Clause
// signals.h, and the signals of processes.h. Windows has only the handlers of the C library, and
// the signals that kq_kill() sends. No signal can be blocked.
#include "support/signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace kqposix {
namespace {

using SignalFunction = void (*)(int);

// What sigaction() installed.
std::atomic<SignalFunction> handlers[NSIG];
// That of the library, once it was seen: it installs itself again.
std::atomic<SignalFunction> of_library{nullptr};

void do_as_handler(int number) {
    ::signal(number, do_as_handler);
    handlers[number].load()(number);
}
void do_once(int number) {
    handlers[number].load()(number);
}

}  // namespace

int sigaction(int number, const struct sigaction* action, struct sigaction* before) {
    const bool handled = number > 0 && number < NSIG;
    const SignalFunction now = handled ? ::signal(number, SIG_DFL) : SIG_ERR;
    if (now == SIG_ERR) {
        // It does nothing, whatever is asked for.
        if (before != nullptr) *before = {};
        const SignalFunction wanted = action == nullptr ? SIG_DFL : action->sa_handler;
        return wanted == SIG_DFL || wanted == SIG_IGN ? 0 : (errno = EINVAL, -1);
    }
    const bool ours = now == do_as_handler || now == do_once;
    if (!ours && now != SIG_DFL && now != SIG_IGN) of_library = now;
    if (before != nullptr) {
        *before = {};
        before->sa_handler = ours ? handlers[number].load() : now;
        before->sa_flags = now == do_once ? static_cast<int>(SA_RESETHAND) : 0;
    }
    SignalFunction next = now;
    if (action != nullptr) {
        next = action->sa_handler;
        if (next != SIG_DFL && next != SIG_IGN && next != of_library) {
            handlers[number] = next;
            const bool once = (static_cast<unsigned>(action->sa_flags) & SA_RESETHAND) != 0;
            next = once ? do_once : do_as_handler;
        }
    }
    ::signal(number, next);
    return 0;
}

int kill(pid_t pid, int number) {
    return ::kq_kill(static_cast<int>(pid), number);
}
int sigqueue(pid_t pid, int number, sigval /*value*/) {
    return kill(pid, number);
}

}  // namespace kqposix

namespace kqtest {
namespace {

std::atomic<int> counted{0};

}  // namespace

void count_signal(int) {
    counted++;
}

int signals_counted() {
    return counted;
}

void set_disposition(int number, SignalFunction function, int flags) {
    struct sigaction action {};
    action.sa_handler = function;
    action.sa_flags = flags;
    EXPECT_EQ(::sigaction(number, &action, nullptr), 0);
}

SignalFunction disposition(int number) {
    struct sigaction action {};
    EXPECT_EQ(::sigaction(number, nullptr, &action), 0);
    return action.sa_handler;
}

void send(int number, int times) {
    for (int i = 0; i < times; i++)
        EXPECT_EQ(::kq_raise(number), 0);
}

void block(int /*number*/) {
    ADD_FAILURE() << "signals cannot be blocked on Windows";
}

void unblock(int /*number*/) {
    ADD_FAILURE() << "signals cannot be blocked on Windows";
}

bool is_blocked(int /*number*/) {
    return false;
}

bool is_pending(int /*number*/) {
    return false;
}

SignalTest::SignalTest() {
    counted = 0;
}

SignalTest::~SignalTest() {
    for (const int number : {SIGUSR1, SIGUSR2, SIGTERM, SIGABRT})
        set_disposition(number, SIG_DFL);
}

}  // namespace kqtest
