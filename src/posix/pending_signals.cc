// SPDX-License-Identifier: BSD-2-Clause
// Signals that are blocked: the POSIX side of signal_source.h.
#include "pending_signals.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <atomic>

#include "dispositions.h"
#include "left_signals.h"
#include "signal_hub.h"
#include "signal_source.h"
#include "sys.h"

namespace kq {

namespace pending_signals {

bool are_news() {
    return (signal_source::pending_of(signal_source::caught()) & ~left_signals::told()) != 0;
}

bool are_blocked_here() {
    sigset_t mask;
    if (pthread_sigmask(SIG_BLOCK, nullptr, &mask) != 0) return false;
    return signal_source::to_bits(mask, signal_source::caught()) != 0;
}

uint64_t count_silent() {
    uint64_t count = 0;
    for (uint64_t set = dispositions::silent(); set != 0; set &= set - 1)
        count += signal_hub::total(__builtin_ctzll(set) + 1);
    return count;
}

}  // namespace pending_signals

namespace signal_source {

bool drops_others() {
    return true;
}

// POSIX has nothing to switch on: see are_news().
Errno listen(uint64_t /*set*/) {
    return Errno::ok;
}

// POSIX does not say whether a pending signal still is the same: it has to be looked at.
bool has_news() {
    return true;
}

#if defined(_POSIX_REALTIME_SIGNALS) && _POSIX_REALTIME_SIGNALS > 0

namespace {

// The address of this char is the value of a signal that was put back. Its original is kept for a
// handler; sigwaitinfo() gets the mark: P-SIGNAL-INFO.
constinit char mark = 0;
// Kept by words: a handler may read in one thread what another thread is keeping. It then gets some
// words of each; both were signals that were really sent.
class Original {
  public:
    void keep(const siginfo_t& info) {
        uint64_t words[kWords] = {};
        memcpy(words, &info, sizeof info);
        for (size_t i = 0; i < kWords; i++)
            words_[i].store(words[i], std::memory_order_relaxed);
    }
    void tell(siginfo_t& info) const {
        uint64_t words[kWords];
        for (size_t i = 0; i < kWords; i++)
            words[i] = words_[i].load(std::memory_order_relaxed);
        memcpy(&info, words, sizeof info);
    }

  private:
    static constexpr size_t kWords = (sizeof(siginfo_t) + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    std::atomic<uint64_t> words_[kWords] = {};
};
constinit Original originals[signal_hub::kLastSignal + 1] = {};

}  // namespace

const bool kCanTake = true;

bool take_one(uint64_t set, siginfo_t& info) {
    const sys::Uncancelled uncancelled;
    const sigset_t wanted = to_sigset(set);
    const timespec at_once{};
    // A signal that no thread blocks is pending, too, until its thread has been chosen.
    return sigtimedwait(&wanted, &info, &at_once) > 0;
}

// Values of queued signals are the program's, and there may be many.
bool can_mark(int number) {
    return number < SIGRTMIN;
}

bool put_back(const siginfo_t& info) {
    sigval value = info.si_value;
    if (can_mark(info.si_signo)) {
        if (!is_marked(info)) originals[info.si_signo].keep(info);
        value.sival_ptr = &mark;
    }
    return sigqueue(getpid(), info.si_signo, value) == 0;
}

bool is_marked(const siginfo_t& info) {
    return info.si_code == SI_QUEUE && info.si_value.sival_ptr == &mark;
}

void restore(siginfo_t& info) {
    originals[info.si_signo].tell(info);
}

#else

const bool kCanTake = false;

bool take_one(uint64_t /*set*/, siginfo_t& /*info*/) {
    return false;
}

bool can_mark(int /*number*/) {
    return false;
}

bool put_back(const siginfo_t& /*info*/) {
    return false;
}

bool is_marked(const siginfo_t& /*info*/) {
    return false;
}

void restore(siginfo_t& /*info*/) {}

#endif

}  // namespace signal_source
}  // namespace kq
