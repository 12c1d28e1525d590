// SPDX-License-Identifier: BSD-2-Clause
// A handler beside the program's. See dispositions.h.
#include "dispositions.h"

#include <errno.h>
#include <unistd.h>

#include <atomic>
#include <iterator>

#include "cancellation.h"
#include "check.h"
#include "platform.h"
#include "program_actions.h"
#include "signal_hub.h"
#include "signal_source.h"

// Part of X/Open in POSIX, like the alternate stack itself.
#ifndef SA_ONSTACK
    #define SA_ONSTACK 0
#endif

namespace kq::dispositions {
namespace {

void become_standard(int number);

using signal_hub::bit_of;
using signal_hub::kLastSignal;

// What the program wants to happen.
enum class Kind : uint8_t { standard, nothing, function };

// There is one handler of ours for each role: *default*, *ignored*, and some for functions of the
// program. So the handler itself says what it stands for, even if the program has saved it since,
// put it back, or called it from the function that replaced it.
constexpr int kFunctions = 4;  // of each signal; a fifth replaces the oldest
constexpr int kRoleNone = -1;
constexpr int kRoleStandard = 0;
constexpr int kRoleNothing = 1;
constexpr int kRoleFunction = 2;  // and those after it

// A function of the program. Written under the hub's lock before its handler is installed.
struct Function {
    std::atomic<uintptr_t> address{0};  // sa_handler or sa_sigaction; 0: none yet
    std::atomic<int> flags{0};
    struct sigaction action = {};  // the source of both; under the hub's lock
};

// The state of one signal. Under the hub's lock, except for the atomics.
struct Caught {
    Function functions[kFunctions];
    int next_function = 0;             // the place for the next new one
    std::atomic<int> role{kRoleNone};  // of the handler that was installed last; none: given back
    bool ours = false;                 // taken over, not given back
    struct sigaction program = {};     // what the program had at the last look
};

constinit Caught caught[kLastSignal + 1] = {};
constinit std::atomic<uint64_t> silent_set{0};
constinit std::atomic<void (*)(const siginfo_t&)> child_listener{nullptr};
// The process whose signals we count. A child that shares our memory (vfork) has another number. So
// has one with a copy of our memory in which no fork handler ran.
constinit std::atomic<pid_t> owner{0};

// Whether an instruction of the program raised it. Such a signal is never held back. A handler that
// returned to the instruction would only see it again.
bool is_fault(int number) {
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
           number == SIGTRAP || number == SIGSYS;
}

// ---- the handlers ----

void take_default_action(int number) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    (void)sigemptyset(&action.sa_mask);
    (void)system_sigaction(number, &action, nullptr);
    (void)raise(number);  // blocked while its handler runs: taken when that returns
}

// `heard`: a kqueue has noted the signal.
void do_as_program_wants(int role, int number, siginfo_t* info, void* context, bool heard,
                         cancellation::Deferred& deferred) {
    if (role >= kRoleFunction) {
        const Function& f = caught[number].functions[role - kRoleFunction];
        if ((f.flags.load() & static_cast<int>(SA_RESETHAND)) != 0) become_standard(number);
        deferred.end();
        cancellation::let_in();
        // The kernel, too, gives all three arguments to a function that did not ask for them.
        reinterpret_cast<void (*)(int, siginfo_t*, void*)>(f.address.load())(number, info, context);
        return;
    }
    // A fault would come again and again, and it cannot be ignored either.
    const bool fault = is_fault(number) && info->si_code > 0;
    // Without a default action our handler may stay, for a kqueue that starts to watch just now.
    const bool acts = role == kRoleStandard && !is_ignored_by_default(number);
    if (fault || (!heard && acts)) take_default_action(number);
}

bool is_installed(int number, int role);

// A function of the program that replaced our handler may call it. That signal was counted already,
// or has gone past us: L-SIGNAL-REPLACED.
bool is_chained(int number, int role) {
    return caught[number].role.load() != role && !is_installed(number, role);
}

void handle(int role, int number, siginfo_t* info, void* context) {
    cancellation::Deferred deferred(single_threaded());
    const int saved = errno;
    bool heard = false;
    if (is_this_process()) {
        if (signal_source::is_marked(*info)) {  // counted while it was pending
            signal_source::restore(*info);
            heard = signal_hub::is_heard(number);
        } else {
            if (number == SIGCHLD) child_signal_was_taken(*info);
            heard = is_chained(number, role) ? caught[number].role.load() != kRoleNone
                                             : signal_hub::arrived(number);
        }
    }
    errno = saved;
    do_as_program_wants(role, number, info, context, heard, deferred);
    errno = saved;
}

using Handler = void (*)(int, siginfo_t*, void*);

template <int role>
void handler_for(int number, siginfo_t* info, void* context) {
    handle(role, number, info, context);
}

constexpr Handler kHandlers[] = {
    handler_for<kRoleStandard>,     handler_for<kRoleNothing>,      handler_for<kRoleFunction>,
    handler_for<kRoleFunction + 1>, handler_for<kRoleFunction + 2>, handler_for<kRoleFunction + 3>,
};
static_assert(std::size(kHandlers) == kRoleFunction + kFunctions);

// The role of our handler; kRoleNone: the handler is not ours.
int role_of(const struct sigaction& action) {
    if ((action.sa_flags & SA_SIGINFO) == 0) return kRoleNone;
    for (size_t role = 0; role < std::size(kHandlers); role++)
        if (action.sa_sigaction == kHandlers[role]) return static_cast<int>(role);
    return kRoleNone;
}

bool is_ours(const struct sigaction& action) {
    return role_of(action) != kRoleNone;
}

bool is_installed(int number, int role) {
    struct sigaction now = {};
    return system_sigaction(number, nullptr, &now) == 0 && role_of(now) == role;
}

Kind kind_of(const struct sigaction& action) {
    if ((action.sa_flags & SA_SIGINFO) != 0) return Kind::function;
    if (action.sa_handler == SIG_DFL) return Kind::standard;
    return action.sa_handler == SIG_IGN ? Kind::nothing : Kind::function;
}

// A handler with SA_RESETHAND is used once. It counts as removed before it runs.
void become_standard(int number) {
    struct sigaction action = {};
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    action.sa_sigaction = kHandlers[kRoleStandard];
    (void)sigemptyset(&action.sa_mask);
    cancellation::hold_in(action.sa_mask);
    (void)system_sigaction(number, &action, nullptr);
}

// ---- dispositions ----

// The meaning of a handler of ours that we did not install: the program had saved that handler, and
// has put it back.
struct sigaction meant_by(const struct sigaction& action, const Caught& c) {
    const int role = role_of(action);
    if (role >= kRoleFunction) return c.functions[role - kRoleFunction].action;
    struct sigaction meant = {};
    meant.sa_flags = action.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
    meant.sa_handler = role == kRoleNothing ? SIG_IGN : SIG_DFL;
    return meant;
}

bool is_same(const struct sigaction& a, const struct sigaction& b) {
    if (a.sa_flags != b.sa_flags || a.sa_sigaction != b.sa_sigaction) return false;
    for (int number = 1; number <= kLastSignal; number++)
        if (sigismember(&a.sa_mask, number) != sigismember(&b.sa_mask, number)) return false;
    return true;
}

// The role of a function: the one it has already, or a new one.
int role_for_function(const struct sigaction& action, Caught& c) {
    for (int i = 0; i < kFunctions; i++)
        if (c.functions[i].address.load() != 0 && is_same(c.functions[i].action, action))
            return kRoleFunction + i;
    int i = c.next_function;
    if (kRoleFunction + i == c.role.load()) i = (i + 1) % kFunctions;  // the new one may call that
    c.next_function = (i + 1) % kFunctions;
    Function& f = c.functions[i];
    f.action = action;
    f.flags.store(action.sa_flags);
    f.address.store((action.sa_flags & SA_SIGINFO) != 0
                        ? reinterpret_cast<uintptr_t>(action.sa_sigaction)
                        : reinterpret_cast<uintptr_t>(action.sa_handler));
    return kRoleFunction + i;
}

// From now on the handlers and the hub know what the program wants.
void remember(int number, const struct sigaction& action) {
    Caught& c = caught[number];
    c.program = action;
    const Kind kind = kind_of(action);
    if (kind == Kind::function)
        c.role.store(role_for_function(action, c));
    else
        c.role.store(kind == Kind::nothing ? kRoleNothing : kRoleStandard);
    if (kind == Kind::function || is_fault(number))
        silent_set.fetch_and(~bit_of(number));
    else
        silent_set.fetch_or(bit_of(number));
}

// Our handler, installed as the program's was: on the same stack, with the same mask, and with the
// same effect on system calls and children.
struct sigaction action_like(int number, const struct sigaction& program, int role) {
    const Kind kind = kind_of(program);
    struct sigaction action = program;
    if (kind != Kind::function) {
        (void)sigemptyset(&action.sa_mask);
        // An ignored signal interrupts nothing. SA_RESTART is as near to that as a handler can
        // come.
        action.sa_flags =
            (program.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)) | SA_RESTART | SA_ONSTACK;
        // Ignoring SIGCHLD means that children leave no zombies.
        if (number == SIGCHLD && kind == Kind::nothing) action.sa_flags |= SA_NOCLDWAIT;
    }
    action.sa_flags |= SA_SIGINFO;
    action.sa_flags &= ~static_cast<int>(SA_RESETHAND);  // the handler does that itself
    action.sa_sigaction = kHandlers[role];
    cancellation::hold_in(action.sa_mask);
    return action;
}

// These signals may be watched, but never come.
bool cannot_be_caught(int number) {
    return number == SIGKILL || number == SIGSTOP;
}

}  // namespace

Errno take_over(int number, bool& changed) {
    changed = false;
    if (cannot_be_caught(number)) return Errno::ok;
    Caught& c = caught[number];
    struct sigaction now = {};
    if (system_sigaction(number, nullptr, &now) != 0) return last_errno();
    owner.store(getpid());
    const bool first = !c.ours;
    c.ours = true;
    if (!first && role_of(now) == c.role.load()) return Errno::ok;
    // A second round is needed if another thread calls sigaction() at the same moment.
    for (;;) {
        changed = true;
        remember(number, is_ours(now) ? meant_by(now, c) : now);
        const struct sigaction ours = action_like(number, c.program, c.role.load());
        struct sigaction replaced = {};
        if (system_sigaction(number, &ours, &replaced) != 0) return last_errno();
        const bool same =
            replaced.sa_flags == now.sa_flags && replaced.sa_sigaction == now.sa_sigaction;
        if (same) return Errno::ok;
        now = replaced;
    }
}

void give_back(int number) {
    Caught& c = caught[number];
    if (!c.ours) return;
    c.ours = false;
    silent_set.fetch_and(~bit_of(number));
    const int role = c.role.exchange(kRoleNone);
    struct sigaction now = {};
    if (system_sigaction(number, nullptr, &now) != 0 || !is_ours(now)) return;
    if (role_of(now) != role) c.program = meant_by(now, c);
    // Another thread may call sigaction() at the same moment: what it sets stays.
    struct sigaction replaced = {};
    if (system_sigaction(number, &c.program, &replaced) == 0 && !is_ours(replaced))
        (void)system_sigaction(number, &replaced, nullptr);
}

void abandon_in_child() {
    for (int number = 1; number <= kLastSignal; number++)
        give_back(number);
    owner.store(getpid());
}

uint64_t silent() {
    return silent_set.load();
}

bool is_this_process() {
    return getpid() == owner.load();
}

bool is_ignored_by_default(int number) {
    return number == SIGCHLD || number == SIGCONT || number == SIGURG || number == SIGWINCH;
}

void child_signal_was_taken(const siginfo_t& info) {
    void (*listener)(const siginfo_t&) = child_listener.load();
    if (listener != nullptr) listener(info);
}

void tell_of_children(void (*listener)(const siginfo_t& info)) {
    child_listener.store(listener);
}

}  // namespace kq::dispositions
