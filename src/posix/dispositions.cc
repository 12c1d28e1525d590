// A handler beside the program's. See dispositions.h.
#include "dispositions.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>

#include "check.h"
#include "signal_hub.h"

namespace kq::dispositions {
namespace {

void become_standard(int number);

using signal_hub::bit_of;
using signal_hub::kLastSignal;

// What the program wants to be done. There is a handler of ours for each kind, so
// that the handler itself says what it stands for, whatever the program has done
// with it since.
enum class Kind : uint8_t { standard, nothing, function };

// The program's function. Written under the hub's lock, read by the handler at
// any moment: there are two, and the last bit of the version says which one is
// valid, so that a handler that interrupts the writer finds the other whole.
struct Function {
    std::atomic<uintptr_t> address{0};  // sa_handler or sa_sigaction
    std::atomic<int> flags{0};
};

// Of one signal. Under the hub's lock, but for the atomics.
struct Caught {
    Function functions[2];
    std::atomic<unsigned> version{0};
    std::atomic<bool> ahead{false};  // it is pending, and was counted already
    bool ours = false;               // taken over, not given back
    bool held = false;               // by `holder`
    struct sigaction program = {};   // what the program had when last looked
    struct sigaction handler = {};   // the last of those that was a function
    pthread_t holder = {};
};

constinit Caught caught[kLastSignal + 1] = {};
constinit std::atomic<uint64_t> silent_set{0};
// Whose signals we count: a child that shares our memory (vfork) or has a copy of
// it, without its fork handlers having run, has another number.
constinit std::atomic<pid_t> owner{0};

// Raised by what the program did itself. Never held back, and a handler that
// returned to the instruction would only see it again.
bool is_fault(int number) {
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
           number == SIGTRAP || number == SIGSYS;
}

// ---- the handlers ----

struct Asked {
    uintptr_t address;
    int flags;
};

Asked read_function(const Caught& c) {
    for (;;) {
        const unsigned version = c.version.load();
        const Function& f = c.functions[version & 1];
        const Asked asked{f.address.load(), f.flags.load()};
        if (version == c.version.load()) return asked;
    }
}

void take_default_action(int number) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, nullptr);
    (void)raise(number);  // blocked as long as its handler runs: taken when that returns
}

// `heard`: a kqueue has taken note of the signal.
void do_as_program_wants(Kind kind, int number, siginfo_t* info, void* context, bool heard) {
    if (kind == Kind::function) {
        const Asked asked = read_function(caught[number]);
        if ((asked.flags & static_cast<int>(SA_RESETHAND)) != 0) become_standard(number);
        if ((asked.flags & SA_SIGINFO) != 0)
            reinterpret_cast<void (*)(int, siginfo_t*, void*)>(asked.address)(number, info,
                                                                              context);
        else
            reinterpret_cast<void (*)(int)>(asked.address)(number);
        return;
    }
    // A fault would come again and again; ignoring one is not possible either.
    const bool fault = is_fault(number) && info->si_code > 0;
    if (fault || (!heard && kind == Kind::standard)) take_default_action(number);
}

void handle(Kind kind, int number, siginfo_t* info, void* context) {
    const int saved = errno;
    bool heard = false;
    if (getpid() == owner.load()) {
        // Counted ahead, it only has to be handled.
        heard = caught[number].ahead.exchange(false) || signal_hub::arrived(number);
    }
    do_as_program_wants(kind, number, info, context, heard);
    errno = saved;
}

extern "C" void kq_signal_standard(int number, siginfo_t* info, void* context) {
    handle(Kind::standard, number, info, context);
}
extern "C" void kq_signal_nothing(int number, siginfo_t* info, void* context) {
    handle(Kind::nothing, number, info, context);
}
extern "C" void kq_signal_function(int number, siginfo_t* info, void* context) {
    handle(Kind::function, number, info, context);
}

using Handler = void (*)(int, siginfo_t*, void*);
constexpr Handler kHandlers[] = {kq_signal_standard, kq_signal_nothing, kq_signal_function};

bool is_ours(const struct sigaction& action, Kind kind) {
    return (action.sa_flags & SA_SIGINFO) != 0 &&
           action.sa_sigaction == kHandlers[static_cast<size_t>(kind)];
}
bool is_ours(const struct sigaction& action) {
    return is_ours(action, Kind::standard) || is_ours(action, Kind::nothing) ||
           is_ours(action, Kind::function);
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
    action.sa_sigaction = kq_signal_standard;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, nullptr);
}

// ---- dispositions ----

// What the program had, where a handler of ours stands now that we did not put there:
// it kept one, and put it back.
struct sigaction meant_by(const struct sigaction& action, const Caught& c) {
    if (is_ours(action, Kind::function)) return c.handler;
    struct sigaction meant = {};
    meant.sa_flags = action.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
    meant.sa_handler = is_ours(action, Kind::nothing) ? SIG_IGN : SIG_DFL;
    return meant;
}

// The handlers and the hub know from now on what the program wants.
void remember(int number, const struct sigaction& action) {
    Caught& c = caught[number];
    c.program = action;
    const Kind kind = kind_of(action);
    if (kind == Kind::function) {
        c.handler = action;
        const unsigned next = c.version.load() + 1;
        c.functions[next & 1].flags.store(action.sa_flags);
        c.functions[next & 1].address.store((action.sa_flags & SA_SIGINFO) != 0
                                                ? reinterpret_cast<uintptr_t>(action.sa_sigaction)
                                                : reinterpret_cast<uintptr_t>(action.sa_handler));
        c.version.store(next);
    }
    if (kind == Kind::function || is_fault(number))
        silent_set.fetch_and(~bit_of(number));
    else
        silent_set.fetch_or(bit_of(number));
}

// Our handler, installed as the program's was: on its stack, with its mask, and
// with the same effect on system calls and children.
struct sigaction action_like(int number, const struct sigaction& program) {
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
    action.sa_sigaction = kHandlers[static_cast<size_t>(kind)];
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
    if (!first && is_ours(now, kind_of(c.program))) return Errno::ok;
    // More than once should another thread call sigaction() at the same moment.
    for (;;) {
        changed = true;
        remember(number, is_ours(now) ? meant_by(now, c) : now);
        const struct sigaction ours = action_like(number, c.program);
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
    struct sigaction now = {};
    if (sigaction(number, nullptr, &now) != 0 || !is_ours(now)) return;
    if (!is_ours(now, kind_of(c.program))) c.program = meant_by(now, c);
    (void)sigaction(number, &c.program, nullptr);
}

void abandon_in_child() {
    uint64_t mine = take_held();
    for (int number = 1; number <= kLastSignal; number++) {
        give_back(number);
        caught[number].held = false;
    }
    owner.store(getpid());
    let_go(mine);
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

// ---- holding back ----

void hold(int number) {
    Caught& c = caught[number];
    if (c.held || (silent() & bit_of(number)) == 0) return;
    sigset_t set;
    sigset_t old;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    KQ_CHECK(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    if (sigismember(&old, number) == 1) return;
    c.held = true;
    c.holder = pthread_self();
}

void release(int number) {
    Caught& c = caught[number];
    if (!c.held || pthread_equal(c.holder, pthread_self()) == 0) return;
    c.held = false;
    let_go(bit_of(number));
}

int held() {
    int count = 0;
    for (const Caught& c : caught)
        count += c.held ? 1 : 0;
    return count;
}

uint64_t take_held() {
    uint64_t set = 0;
    for (int number = 1; number <= kLastSignal; number++) {
        Caught& c = caught[number];
        if (!c.held || pthread_equal(c.holder, pthread_self()) == 0) continue;
        c.held = false;
        set |= bit_of(number);
    }
    return set;
}

void let_go(uint64_t set) {
    if (set == 0) return;
    sigset_t mask;
    (void)sigemptyset(&mask);
    for (int number = 1; number <= kLastSignal; number++)
        if ((set & bit_of(number)) != 0) (void)sigaddset(&mask, number);
    KQ_CHECK(pthread_sigmask(SIG_UNBLOCK, &mask, nullptr) == 0);
}

}  // namespace kq::dispositions
