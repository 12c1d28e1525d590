// Signals that no handler gets: a signalfd. What is done about signals otherwise is in
// ../posix/signals.cc. Lock: the signal hub's.
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
#include "../posix/signal_source.h"
#include "anchors.h"
#include "backend.h"
#include "epoll.h"
#include "signal_hub.h"
#include "signals.h"
#include "sys.h"

namespace kq {
namespace {

constinit std::atomic<int> listener{-1};  // the signalfd

// Whether the number is another file by now: somebody closed ours, as closefrom() does.
bool is_lost(int fd) {
    struct stat st {};
    if (sys::fstat(fd, &st) != 0) return errno == EBADF;
    return (st.st_mode & S_IFMT) != 0;  // what signalfds are is nameless: no file type
}

}  // namespace

namespace signal_source {

Errno listen(uint64_t wanted) {
    // A lost one is not ours to close any more.
    if (listener.load() >= 0 && is_lost(listener.load())) listener.store(-1);
    if (wanted == 0) {
        const int fd = listener.exchange(-1);
        if (fd >= 0) sys::close(fd);
        return Errno::ok;
    }
    const sigset_t set = to_sigset(wanted);
    int fd = signalfd(listener.load(), &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 && errno == EINVAL) fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return last_errno();
    listener.store(fd);
    return Errno::ok;
}

int take_one(uint64_t set) {
    const struct {
        long seconds = 0;
        long nanoseconds = 0;
    } at_once;
    // The kernel's set is of words, the first signals in the first: that is not the order of the
    // halves of 64 bits on a big-endian machine of 32.
    constexpr size_t kWordBits = 8 * sizeof(unsigned long);
    unsigned long words[64 / kWordBits];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words[i] = static_cast<unsigned long>(set >> (i * kWordBits));
    const long number = syscall(SYS_rt_sigtimedwait, words, nullptr, &at_once, sizeof words);
    return number > 0 ? static_cast<int>(number) : 0;
}

bool may_hold(int /*number*/) {
    return true;
}

}  // namespace signal_source

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

Errno Backend::hear_signals() {
    const Handle handle(Handle::Kind::signals, 0, 0);
    if (epoll::control(lanes_[0], EPOLL_CTL_ADD, listener.load(), EPOLLIN | EPOLLET, handle) == 0)
        return Errno::ok;
    return errno == EEXIST ? Errno::ok : sys::refusal();
}

int signal_listener() {
    return listener.load();
}

int listener_for_sleep() {
    // One that is left pending for a handler would make it readable all the time.
    return (signal_source::caught() & ~dispositions::silent()) == 0 ? listener.load() : -1;
}

bool mask_for_sleep(sigset_t& mask) {
    uint64_t silent = dispositions::silent();
    if (silent == 0 || pthread_sigmask(SIG_BLOCK, nullptr, &mask) != 0) return false;
    for (; silent != 0; silent &= silent - 1)
        (void)sigaddset(&mask, __builtin_ctzll(silent) + 1);
    return true;
}

}  // namespace kq
