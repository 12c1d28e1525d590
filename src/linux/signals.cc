// Signals of the process: handlers (../posix/dispositions.h), and a signalfd for
// what no handler gets. See signals in platform.h. Lock: the signal hub's.
//
// A signal that is blocked wherever it could be received stays pending. The
// signalfd, one for the process and never read, sits in the epoll set of every
// kqueue that watches signals, by edge, and tells when one becomes pending.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <atomic>

#include "../posix/dispositions.h"
#include "../posix/held_signals.h"
#include "anchors.h"
#include "backend.h"
#include "epoll.h"
#include "signal_hub.h"
#include "signals.h"
#include "sys.h"

namespace kq {
namespace {

constinit std::atomic<int> listener{-1};  // the signalfd
constinit std::atomic<uint64_t> started{
    0};  // the signals that are caught; set under the hub's lock

sigset_t to_sigset(uint64_t set) {
    sigset_t result;
    (void)sigemptyset(&result);
    for (; set != 0; set &= set - 1)
        (void)sigaddset(&result, __builtin_ctzll(set) + 1);
    return result;
}

// Whether the number is another file by now: somebody closed ours, as closefrom() does.
bool is_lost(int fd) {
    struct stat st {};
    // What signalfds are is nameless: no file type.
    return fstat(fd, &st) != 0 || (st.st_mode & S_IFMT) != 0;
}

// Listens to what is started, or to nothing.
Errno listen() {
    // A lost one is not ours to close any more.
    if (listener.load() >= 0 && is_lost(listener.load())) listener.store(-1);
    if (started == 0) {
        const int fd = listener.exchange(-1);
        if (fd >= 0) sys::close(fd);
        return Errno::ok;
    }
    const sigset_t set = to_sigset(started);
    int fd = signalfd(listener.load(), &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 && errno == EINVAL) fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return last_errno();
    listener.store(fd);
    return Errno::ok;
}

// Takes one of these signals that is pending for the process or this thread; 0: none.
int take_one(uint64_t set) {
    const struct {
        long seconds = 0;
        long nanoseconds = 0;
    } at_once;
    // The kernel's set is the 64 bits as they are.
    const long number = syscall(SYS_rt_sigtimedwait, &set, nullptr, &at_once, sizeof set);
    return number > 0 ? static_cast<int>(number) : 0;
}

// Which of them are pending for the process or this thread.
uint64_t pending_of(uint64_t set) {
    sigset_t pending;
    if (set == 0 || sigpending(&pending) != 0) return 0;
    uint64_t result = 0;
    for (; set != 0; set &= set - 1)
        if (sigismember(&pending, __builtin_ctzll(set) + 1) == 1) result |= set & -set;
    return result;
}

bool is_pending(int number) {
    return pending_of(signal_hub::bit_of(number)) != 0;
}

}  // namespace

// ---- threads, for held_signals.cc ----

namespace held_signals {

Thread this_thread() {
    return static_cast<Thread>(syscall(SYS_gettid));
}

bool is_alive(Thread thread) {
    return syscall(SYS_tgkill, getpid(), thread, 0) == 0;
}

// Hundredths of a second since the system started, as /proc has it.
uint64_t thread_clock() {
    timespec ts{};
    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return static_cast<uint64_t>(ts.tv_sec) * 100 + static_cast<uint64_t>(ts.tv_nsec) / 10'000'000;
}

uint64_t thread_made() {
    char text[512];
    const int fd = sys::open_for_reading("/proc/thread-self/stat");
    if (fd < 0) return 0;
    const ssize_t size = sys::read(fd, text, sizeof text - 1);
    sys::close(fd);
    text[size < 0 ? 0 : size] = '\0';
    // The name in parentheses may contain anything; 20 fields follow, then the start.
    const char* at = strrchr(text, ')');
    for (int field = 0; at != nullptr && field < 20; field++)
        at = strchr(at + 1, ' ');
    return at == nullptr ? 0 : strtoull(at + 1, nullptr, 10);
}

}  // namespace held_signals

namespace signals {

Errno start(int number) {
    bool changed = false;
    const bool first = (started & signal_hub::bit_of(number)) == 0;
    started |= signal_hub::bit_of(number);
    Errno error = listen();
    if (error == Errno::ok) error = dispositions::take_over(number, changed);
    if (error != Errno::ok && first) {
        started &= ~signal_hub::bit_of(number);
        (void)listen();
    }
    if (error != Errno::ok) return error;
    held_signals::hold(number);
    if (!first) return error;
    // Was pending before anybody watched it: no news, even when its handler comes to run.
    const bool silent = (dispositions::silent() & signal_hub::bit_of(number)) != 0;
    if (!silent && is_pending(number)) (void)dispositions::count_ahead(number);
    return Errno::ok;
}

void stop(int number) {
    // What came while it was watched was not meant for the disposition that comes now.
    take_pending();
    dispositions::give_back(number);
    held_signals::release(number);
    started &= ~signal_hub::bit_of(number);
    (void)listen();
}

bool may_hold() {
    return held_signals::may_hold();
}
uint64_t take_held() {
    return held_signals::take();
}
uint64_t take_inherited() {
    return held_signals::take_inherited();
}
void let_go(uint64_t set) {
    held_signals::let_go(set);
}

bool refresh(uint64_t set) {
    bool any = false;
    for (set &= started; set != 0; set &= set - 1) {
        const int number = __builtin_ctzll(set) + 1;
        bool changed = false;
        (void)dispositions::take_over(number, changed);
        any = any || changed;
        if (dispositions::is_counted_ahead(number) && !is_pending(number))
            dispositions::forget_ahead(number);
    }
    return any;
}

void take_pending() {
    // Not from a handler that the program has set since.
    (void)refresh(pending_of(started));
    const uint64_t silent = dispositions::silent() & started;
    while (const int number = silent == 0 ? 0 : take_one(silent))
        (void)signal_hub::arrived(number);
    const uint64_t handled = started & ~silent;
    const uint64_t pending = pending_of(handled);
    for (uint64_t set = handled; set != 0; set &= set - 1) {
        const int number = __builtin_ctzll(set) + 1;
        if ((pending & signal_hub::bit_of(number)) == 0)
            dispositions::forget_ahead(number);
        else if (dispositions::count_ahead(number))
            (void)signal_hub::arrived(number);
    }
}

void abandon_in_child() {
    started = 0;
    (void)listen();
    dispositions::abandon_in_child();
}

}  // namespace signals

Errno Backend::hear_signals() {
    const Handle handle(Handle::Kind::signals, 0, 0);
    if (epoll::control(lanes_[0], EPOLL_CTL_ADD, listener.load(), EPOLLIN | EPOLLET, handle) == 0)
        return Errno::ok;
    return errno == EEXIST ? Errno::ok : errno == ENOSPC ? Errno::no_memory : last_errno();
}

int signal_listener() {
    return listener.load();
}

int listener_for_sleep() {
    // One that is left pending for a handler would make it readable all the time.
    return (started.load() & ~dispositions::silent()) == 0 ? listener.load() : -1;
}

bool mask_for_sleep(sigset_t& mask) {
    uint64_t silent = dispositions::silent();
    if (silent == 0 || pthread_sigmask(SIG_BLOCK, nullptr, &mask) != 0) return false;
    for (; silent != 0; silent &= silent - 1)
        (void)sigaddset(&mask, __builtin_ctzll(silent) + 1);
    return true;
}

}  // namespace kq
