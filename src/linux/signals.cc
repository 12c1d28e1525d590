// SPDX-License-Identifier: BSD-2-Clause
// Signals that no handler gets: a signalfd. All else about signals is in ../posix/signals.cc. Lock:
// the signal hub's.
//
// A signal that is blocked wherever it could be received stays pending. The process has one
// signalfd, which is never read. It is in the epoll set of every kqueue that watches signals, by
// edge, and tells when a signal becomes pending. It is readable while one is pending, and each
// signal that comes is an edge, even one that we send again. So it is also in a set of its own,
// which tells whether a signal has come since the last look.
#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <atomic>

#include "../posix/dispositions.h"
#include "../posix/left_signals.h"
#include "../posix/signal_source.h"
#include "anchors.h"
#include "backend.h"
#include "epoll.h"
#include "own_file.h"
#include "signal_hub.h"
#include "signals.h"
#include "sys.h"
#include "threading.h"

namespace kq {
namespace {

constinit std::atomic<int> listener{-1};  // the signalfd
constinit int edges = -1;                 // an epoll set with it; the hub's lock

// In si_errno of what was put back. Linux does not use si_errno for signals that are sent.
constexpr int kMark = 0x6b717565;

// Whether the number is another file now: the program has closed ours, as closefrom() does.
bool is_lost(int fd) {
    return own_file::is_lost(fd, &edges);
}

// A signalfd: the one that there is, or another one.
int keep_listener(int old, const sigset_t& set) {
    const int fd = signalfd(old, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd == old ? fd : own_file::keep(fd, &edges);
}

}  // namespace

namespace signal_source {

Errno listen(uint64_t set) {
    // A lost number is not ours to close.
    if (listener.load() >= 0 && is_lost(listener.load())) listener.store(-1);
    if (edges >= 0 && is_lost(edges)) edges = -1;
    if (set == 0) {
        int fd = listener.exchange(-1);
        own_file::close(fd, &edges);
        own_file::close(edges, &edges);
        return Errno::ok;
    }
    const sigset_t mask = to_sigset(set);
    int fd = keep_listener(listener.load(), mask);
    if (fd < 0 && errno == EINVAL) fd = keep_listener(-1, mask);
    if (fd < 0) return last_errno();
    const bool is_new = fd != listener.exchange(fd);
    if (edges >= 0 && !is_new) return Errno::ok;
    if (edges < 0) edges = own_file::keep(epoll_create1(EPOLL_CLOEXEC), &edges);
    if (edges < 0) return last_errno();
    if (epoll::control(edges, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, Handle{}) == 0)
        return Errno::ok;
    return errno == EEXIST ? Errno::ok : sys::refusal();
}

bool has_news() {
    epoll_event event{};
    return sys::call(SYS_epoll_pwait, edges, &event, 1, 0, 0, size_t{8}) > 0;
}

const bool kCanTake = true;

bool take_one(uint64_t set, siginfo_t& info) {
    const struct {
        long seconds = 0;
        long nanoseconds = 0;
    } at_once;
    // The kernel's set is of words, with the first signals in the first word. On a big-endian
    // machine of 32 bits the halves of a 64-bit number have another order.
    constexpr size_t kWordBits = 8 * sizeof(unsigned long);
    unsigned long words[64 / kWordBits];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words[i] = static_cast<unsigned long>(set >> (i * kWordBits));
    return syscall(SYS_rt_sigtimedwait, words, &info, &at_once, sizeof words) > 0;
}

bool can_mark(int /*number*/) {
    return true;
}

bool drops_others() {
    return !single_threaded();
}

bool put_back(const siginfo_t& info) {
    siginfo_t again = info;
    again.si_errno = kMark;
    const pid_t process = getpid();
    // A signal that was directed to this thread is directed to it again. The same is done if there
    // is no other thread: then the next one for the process is pending beside it, and not dropped.
    const bool to_this_thread = info.si_code == SI_TKILL || single_threaded();
    // Only the first thread may send with the code of kill() and the kernel. The others use
    // SI_QUEUE.
    for (const int code : {info.si_code, int{SI_QUEUE}}) {
        again.si_code = code;
        if (to_this_thread && syscall(SYS_rt_tgsigqueueinfo, process, syscall(SYS_gettid),
                                      info.si_signo, &again) == 0)
            return true;
    }
    for (const int code : {info.si_code, int{SI_QUEUE}}) {
        again.si_code = code;
        if (syscall(SYS_rt_sigqueueinfo, process, info.si_signo, &again) == 0) return true;
    }
    return false;
}

bool is_marked(const siginfo_t& info) {
    return info.si_errno == kMark;
}

void restore(siginfo_t& info) {
    info.si_errno = 0;
}

}  // namespace signal_source

Errno Backend::hear_signals() {
    const Handle handle(Handle::Kind::signals, 0, tag_);
    if (epoll::control(lanes_[0], EPOLL_CTL_ADD, listener.load(), EPOLLIN | EPOLLET, handle) == 0) {
        note_opened(listener.load());
        return Errno::ok;
    }
    return errno == EEXIST ? Errno::ok : sys::refusal();
}

int signal_listener() {
    return listener.load();
}

int listener_for_sleep() {
    // If one signal is left pending, the signalfd is readable all the time.
    const uint64_t handled = signal_source::caught() & ~dispositions::silent();
    return (handled | left_signals::told()) == 0 ? listener.load() : -1;
}

bool mask_for_sleep(sigset_t& mask) {
    uint64_t silent = dispositions::silent();
    if (silent == 0 || pthread_sigmask(SIG_BLOCK, nullptr, &mask) != 0) return false;
    for (; silent != 0; silent &= silent - 1)
        (void)sigaddset(&mask, __builtin_ctzll(silent) + 1);
    return true;
}

}  // namespace kq
