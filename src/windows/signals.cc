// SPDX-License-Identifier: BSD-2-Clause
// Signals of Windows: those of the C library, of the console, and what kq_raise() makes. Contract:
// namespace signals of platform.h. Under the signal hub's mutex, except for the handlers.
//
// The C library removes a handler when it calls it, so each handler installs itself again. Ours
// calls the program's. Console events come on a thread of their own.
#include <signal.h>

#include <atomic>

#include "backend.h"
#include "check.h"
#include "signal_hub.h"
#include "sys.h"

namespace kq::signals {
namespace {

using Action = void (*)(int);

#ifndef SIGBREAK
    #define SIGBREAK 21
#endif
constexpr int kHangup = 1;

// The signals for which the C library takes a handler, without those that report a fault of the
// program.
constexpr int kCaught[] = {SIGINT, SIGTERM, SIGBREAK, SIGABRT};

constinit std::atomic<bool> started[signal_hub::kLastSignal + 1] = {};
// What the program wants to be done.
constinit std::atomic<Action> wanted[signal_hub::kLastSignal + 1] = {};
// The meaning of our handler if the program has saved it, and puts it back later: the disposition
// that was wanted when our handler was first replaced, or when it was removed.
constinit std::atomic<Action> stands_for[signal_hub::kLastSignal + 1] = {};
constinit std::atomic<bool> was_replaced[signal_hub::kLastSignal + 1] = {};
constinit std::atomic<bool> hears_console{false};

bool is_caught(int number) {
    for (const int caught : kCaught)
        if (caught == number) return true;
    return false;
}

void do_as_wanted(int number) {
    const Action action = wanted[number].load();
    if (action != SIG_DFL && action != SIG_IGN && action != SIG_ERR) action(number);
}

void handler(int number);

// Installs the library's handler, if it is not there, and keeps the one before. True if the program
// had changed it.
bool install(int number) {
    const Action before = ::signal(number, handler);
    if (before == SIG_ERR || before == handler) return false;
    const Action instead = wanted[number].exchange(before);
    if (!was_replaced[number].exchange(true)) stands_for[number].store(instead);
    return true;
}

// The program's handler is called after the report. It may install itself again, as handlers for
// this C library do. Then ours would be gone until the next kevent().
//
// If nothing is watched any more, ours acts as if it were not there: the kqueues were closed a
// moment ago, or the program had saved this function and has put it back.
void handler(int number) {
    (void)::signal(number, handler);
    if (started[number].load() && signal_hub::arrived(number)) {
        do_as_wanted(number);
        (void)install(number);
        return;
    }
    const Action action =
        started[number].load() ? wanted[number].load() : stands_for[number].load();
    (void)::signal(number, action);
    (void)raise(number);
}

// 0: none.
int number_of(DWORD event) {
    switch (event) {
        case CTRL_C_EVENT:
            return SIGINT;
        case CTRL_BREAK_EVENT:
            return SIGBREAK;
        case CTRL_LOGOFF_EVENT:  // services get it for each user who leaves, and do not end then
            return 0;
        default:  // closed, shut down
            return started[kHangup].load() ? kHangup : SIGTERM;
    }
}

BOOL WINAPI on_console(DWORD event) {
    const int number = number_of(event);
    if (number == 0 || !started[number].load() || !signal_hub::arrived(number)) return FALSE;
    if (is_caught(number)) (void)install(number);
    do_as_wanted(number);
    if (is_caught(number)) (void)install(number);
    // The process ends when this returns. A thread that gets the event has the time that the system
    // gives.
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) Sleep(INFINITE);
    return TRUE;
}

}  // namespace

Errno start(int number) {
    if (number < 1 || number > signal_hub::kLastSignal) return Errno::invalid;
    if (!hears_console.exchange(true) && SetConsoleCtrlHandler(on_console, TRUE) == 0)
        hears_console.store(false);
    const bool first = !started[number].exchange(true);
    if (first) wanted[number].store(stands_for[number].load());  // if it is there already
    if (is_caught(number)) (void)install(number);
    if (first) was_replaced[number].store(false);
    return Errno::ok;
}

void stop(int number) {
    if (!started[number].exchange(false) || !is_caught(number)) return;
    if (!was_replaced[number].load()) stands_for[number].store(wanted[number].load());
    const Action now = ::signal(number, wanted[number].load());
    if (now != handler && now != SIG_ERR) (void)::signal(number, now);  // set by the program
}

bool refresh(uint64_t set) {
    bool changed = false;
    for (const int number : kCaught)
        if ((set & signal_hub::bit_of(number)) != 0 && started[number].load())
            changed = install(number) || changed;
    return changed;
}

bool look_at_pending() {
    return false;
}
bool are_left() {
    return false;
}
bool withdraw(Nanos& /*wait*/) {
    return false;
}
void put_back() {}
void abandon_in_child() {}

}  // namespace kq::signals

namespace kq {

const char* signal_name(uintptr_t number) {
    switch (number) {
        case SIGABRT:
            return "SIGABRT";
        case SIGBREAK:
            return "SIGBREAK";
        case SIGFPE:
            return "SIGFPE";
        case SIGILL:
            return "SIGILL";
        case SIGINT:
            return "SIGINT";
        case SIGSEGV:
            return "SIGSEGV";
        case SIGTERM:
            return "SIGTERM";
        default:
            return nullptr;
    }
}

}  // namespace kq

// ---- <kqueue/signal.h> ----

extern "C" {

int kq_raise(int number) {
    if (number < 1 || number > kq::signal_hub::kLastSignal) {
        errno = EINVAL;
        return -1;
    }
    if (kq::signals::is_caught(number)) return raise(number);
    (void)kq::signal_hub::arrived(number);
    return 0;
}

int kq_kill(int pid, int number) {
    constexpr int kKill = 9;
    if (static_cast<DWORD>(pid) == GetCurrentProcessId() && number != kKill && number != 0)
        return kq_raise(number);
    if (number != 0 && number != kKill && number != SIGTERM) {
        kq::say(
            "libkqueue: FIXME -- UNIMPLEMENTED: kq_kill() of another process by other than "
            "SIGKILL and SIGTERM");
        errno = ENOSYS;
        return -1;
    }
    const DWORD access = number == 0 ? PROCESS_QUERY_LIMITED_INFORMATION : PROCESS_TERMINATE;
    void* process = OpenProcess(access, FALSE, static_cast<DWORD>(pid));
    if (process == nullptr) {
        errno = GetLastError() == ERROR_ACCESS_DENIED ? EPERM : ESRCH;
        return -1;
    }
    constexpr UINT kBySignal = 128;
    const bool done =
        number == 0 || TerminateProcess(process, kBySignal + static_cast<UINT>(number)) != 0;
    CloseHandle(process);
    if (done) return 0;
    errno = EPERM;
    return -1;
}

}  // extern "C"
