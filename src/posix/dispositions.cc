// A handler beside the program's. See dispositions.h.
#include "dispositions.h"

#include <errno.h>
#include <unistd.h>

#include <atomic>
#include <iterator>

#include "check.h"
#include "held_signals.h"
#include "signal_hub.h"

// Of the X/Open part of POSIX, like the alternate stack itself.
#ifndef SA_ONSTACK
    #define SA_ONSTACK 0
#endif

namespace kq::dispositions {
namespace {

void become_standard(int number);

using signal_hub::bit_of;
using signal_hub::kLastSignal;

// What the program wants to be done.
enum class Kind : uint8_t { standard, nothing, function };

// There is a handler of ours for each role: *default*, *ignored*, and some for
// functions of the program, so that the handler itself says what it stands for,
// whatever the program has done with it since: saved, put back, or called from the
// function it set in its place.
constexpr int kFunctions = 4;  // of each signal; the oldest is forgotten for a fifth
constexpr int kRoleNone = -1;
constexpr int kRoleStandard = 0;
constexpr int kRoleNothing = 1;
constexpr int kRoleFunction = 2;  // and those after it

// A function of the program. Written under the hub's lock before its handler is installed.
struct Function {
    std::atomic<uintptr_t> address{0};  // sa_handler or sa_sigaction; 0: none yet
    std::atomic<int> flags{0};
    struct sigaction action = {};  // whence both come; under the hub's lock
};

// Of one signal. Under the hub's lock, but for the atomics.
struct Caught {
    Function functions[kFunctions];
    int next_function = 0;             // to be used for one that is new
    std::atomic<int> role{kRoleNone};  // of the handler that was installed last; none: given back
    std::atomic<bool> ahead{false};    // it is pending, and was counted already
    bool ours = false;                 // taken over, not given back
    struct sigaction program = {};     // what the program had when last looked
};

constinit Caught caught[kLastSignal + 1] = {};
constinit std::atomic<uint64_t> silent_set{0};
constinit std::atomic<void (*)(const siginfo_t&)> child_listener{nullptr};
// Whose signals we count: a child that shares our memory (vfork) or has a copy of
// it, without its fork handlers having run, has another number.
constinit std::atomic<pid_t> owner{0};

// Raised by what the program did itself. Never held back, and a handler that
// returned to the instruction would only see it again.
bool is_fault(int number) {
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
           number == SIGTRAP || number == SIGSYS;
}

// Whose default action is none: our handler may stay, for a kqueue that comes to watch it just now.
bool is_ignored_by_default(int number) {
    return number == SIGCHLD || number == SIGCONT || number == SIGURG || number == SIGWINCH;
}

// ---- the handlers ----

void take_default_action(int number) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, nullptr);
    (void)raise(number);  // blocked as long as its handler runs: taken when that returns
}

// `heard`: a kqueue has taken note of the signal.
void do_as_program_wants(int role, int number, siginfo_t* info, void* context, bool heard) {
    if (role >= kRoleFunction) {
        const Function& f = caught[number].functions[role - kRoleFunction];
        if ((f.flags.load() & static_cast<int>(SA_RESETHAND)) != 0) become_standard(number);
        // With all three arguments, as the kernel does, whatever it asked for.
        reinterpret_cast<void (*)(int, siginfo_t*, void*)>(f.address.load())(number, info, context);
        return;
    }
    // A fault would come again and again; ignoring one is not possible either.
    const bool fault = is_fault(number) && info->si_code > 0;
    const bool acts = role == kRoleStandard && !is_ignored_by_default(number);
    if (fault || (!heard && acts)) take_default_action(number);
}

bool is_installed(int number, int role);

// A function of the program that took our place may call the handler it found there. That
// one was counted already, or has gone past us: L-SIGNAL-REPLACED.
bool is_chained(int number, int role) {
    return caught[number].role.load() != role && !is_installed(number, role);
}

void handle(int role, int number, siginfo_t* info, void* context) {
    const int saved = errno;
    Caught& c = caught[number];
    bool heard = false;
    if (getpid() == owner.load()) {
        if (number == SIGCHLD) child_signal_was_taken(*info);
        if (is_chained(number, role))
            heard = c.role.load() != kRoleNone;
        else  // counted ahead, it only has to be handled
            heard = c.ahead.exchange(false) || signal_hub::arrived(number);
    }
    errno = saved;
    do_as_program_wants(role, number, info, context, heard);
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

// kRoleNone: not a handler of ours.
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
    return sigaction(number, nullptr, &now) == 0 && role_of(now) == role;
}

Kind kind_of(const struct sigaction& action) {
    if ((action.sa_flags & SA_SIGINFO) != 0) return Kind::function;
    if (action.sa_handler == SIG_DFL) return Kind::standard;
    return action.sa_handler == SIG_IGN ? Kind::nothing : Kind::function;
}

// A handler that was to be used once is as good as gone before it runs.
void become_standard(int number) {
    struct sigaction action = {};
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    action.sa_sigaction = kHandlers[kRoleStandard];
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, nullptr);
}

// ---- dispositions ----

// What the program had, where a handler of ours stands now that we did not put there:
// it kept one, and put it back.
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

// The role of a function: that which it has already, or a new one.
int role_for_function(const struct sigaction& action, Caught& c) {
    for (int i = 0; i < kFunctions; i++)
        if (c.functions[i].address.load() != 0 && is_same(c.functions[i].action, action))
            return kRoleFunction + i;
    int i = c.next_function;
    if (kRoleFunction + i == c.role.load()) i = (i + 1) % kFunctions;  // the new one may call it
    c.next_function = (i + 1) % kFunctions;
    Function& f = c.functions[i];
    f.action = action;
    f.flags.store(action.sa_flags);
    f.address.store((action.sa_flags & SA_SIGINFO) != 0
                        ? reinterpret_cast<uintptr_t>(action.sa_sigaction)
                        : reinterpret_cast<uintptr_t>(action.sa_handler));
    return kRoleFunction + i;
}

// The handlers and the hub know from now on what the program wants.
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

// Our handler, installed as the program's was: on its stack, with its mask, and
// with the same effect on system calls and children.
struct sigaction action_like(int number, const struct sigaction& program, int role) {
    const Kind kind = kind_of(program);
    struct sigaction action = program;
    if (kind != Kind::function) {
        (void)sigemptyset(&action.sa_mask);
        // An ignored signal interrupts nothing: as near to that as a handler can come.
        action.sa_flags =
            (program.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)) | SA_RESTART | SA_ONSTACK;
        // Ignoring SIGCHLD means that children leave no zombies.
        if (number == SIGCHLD && kind == Kind::nothing) action.sa_flags |= SA_NOCLDWAIT;
    }
    action.sa_flags |= SA_SIGINFO;
    action.sa_flags &= ~static_cast<int>(SA_RESETHAND);  // the handler's business
    action.sa_sigaction = kHandlers[role];
    return action;
}

// Those that cannot be caught are accepted, and never come.
bool cannot_be_caught(int number) {
    return number == SIGKILL || number == SIGSTOP;
}

}  // namespace

Errno take_over(int number, bool& changed) {
    changed = false;
    if (cannot_be_caught(number)) return Errno::ok;
    Caught& c = caught[number];
    struct sigaction now = {};
    if (sigaction(number, nullptr, &now) != 0) return last_errno();
    owner.store(getpid());
    const bool first = !c.ours;
    c.ours = true;
    if (!first && role_of(now) == c.role.load()) return Errno::ok;
    // More than once should another thread call sigaction() at the same moment.
    for (;;) {
        changed = true;
        remember(number, is_ours(now) ? meant_by(now, c) : now);
        const struct sigaction ours = action_like(number, c.program, c.role.load());
        struct sigaction replaced = {};
        if (sigaction(number, &ours, &replaced) != 0) return last_errno();
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
    c.ahead.store(false);
    silent_set.fetch_and(~bit_of(number));
    const int role = c.role.exchange(kRoleNone);
    struct sigaction now = {};
    if (sigaction(number, nullptr, &now) != 0 || !is_ours(now)) return;
    if (role_of(now) != role) c.program = meant_by(now, c);
    // Another thread may call sigaction() at the same moment: what it sets stays.
    struct sigaction replaced = {};
    if (sigaction(number, &c.program, &replaced) == 0 && !is_ours(replaced))
        (void)sigaction(number, &replaced, nullptr);
}

void abandon_in_child() {
    const uint64_t mine = held_signals::take();
    for (int number = 1; number <= kLastSignal; number++)
        give_back(number);
    owner.store(getpid());
    held_signals::let_go(mine);
}

uint64_t taken_over() {
    uint64_t set = 0;
    for (int number = 1; number <= kLastSignal; number++)
        if (caught[number].ours) set |= bit_of(number);
    return set;
}

uint64_t silent() {
    return silent_set.load();
}

bool count_ahead(int number) {
    return !caught[number].ahead.exchange(true);
}

bool is_counted_ahead(int number) {
    return caught[number].ahead.load();
}

void forget_ahead(int number) {
    caught[number].ahead.store(false);
}

void child_signal_was_taken(const siginfo_t& info) {
    void (*listener)(const siginfo_t&) = child_listener.load();
    if (listener != nullptr) listener(info);
}

void tell_of_children(void (*listener)(const siginfo_t& info)) {
    child_listener.store(listener);
}

}  // namespace kq::dispositions
