// SPDX-License-Identifier: BSD-2-Clause
// Signals that are pending, counted, and left pending. See left_signals.h.
#include "left_signals.h"

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>

#include "alloc.h"
#include "dispositions.h"
#include "platform.h"
#include "signal_hub.h"
#include "signal_source.h"

namespace kq::left_signals {
namespace {

using signal_hub::bit_of;
using signal_hub::kLastSignal;

// How long a signal is left for a program that has no handler, and does not take it. While it is
// pending the kernel drops others of its number: L-SIGNAL-BLOCKED.
constexpr Nanos kPatience = 5 * kSecond;

// A signal that was put back stays there for other threads for so long. Then it is taken again.
constexpr Nanos kShown = 2 * kMillisecond;

constexpr size_t kMost = 1024;                  // of one number; more are not left
constexpr size_t kMostTaken = size_t{1} << 17;  // at a time, if others keep sending
constexpr int kRounds = 8;  // rounds of looking for signals that came during the last round

constinit std::atomic<uint64_t> told_set{0};
Nanos told_at[kLastSignal + 1] = {};  // when there was news last
size_t left[kLastSignal + 1] = {};    // how many were sent again
Nanos back_at = -kSecond;

// Signals that were taken and are in no queue of the kernel now. They must be sent again, so the
// first few need no memory: there may be none.
class Taken {
  public:
    [[nodiscard]] size_t count() const { return count_; }
    siginfo_t& operator[](size_t i) { return i < kFew ? few_[i] : more_[i - kFew]; }

    // Asked before a signal is taken: whether it can be added.
    bool has_room() { return count_ < kFew || grow_array(more_, capacity_, count_ - kFew + 1); }
    void add(const siginfo_t& info) { (*this)[count_++] = info; }
    void cut_to(size_t count) { count_ = count; }
    void free_all() {
        free(more_);
        more_ = nullptr;
        count_ = capacity_ = 0;
    }

  private:
    static constexpr size_t kFew = 2;
    siginfo_t few_[kFew] = {};
    siginfo_t* more_ = nullptr;
    size_t count_ = 0;
    size_t capacity_ = 0;
};
constinit Taken withdrawn{};

void set_told(uint64_t set) {
    told_set.fetch_or(set);
}
void set_untold(uint64_t set) {
    told_set.fetch_and(~set);
}

// Whether at most one of them is pending, as a rule.
bool is_merged(int number) {
#if defined(SIGRTMIN)
    return number < SIGRTMIN;
#else
    (void)number;
    return true;
#endif
}

// How many of `found` signals without marks are news. If some of the old ones are gone, we assume
// that the program took all of them, because to tell a signal twice is better than never.
size_t news_of(size_t found, size_t were_left) {
    return found < were_left ? found : found - were_left;
}

// Takes all signals of a number. `keeps_old`: also adds those to `taken` that were told already;
// otherwise they are gone. Returns how many are news.
int take_all(int number, bool keeps_old, Taken& taken) {
    const bool can_mark = signal_source::can_mark(number);
    size_t found = 0;
    size_t fresh = 0;
    siginfo_t info{};
    for (; found < kMostTaken && taken.has_room(); found++) {
        if (!signal_source::take_one(bit_of(number), info)) break;
        const bool is_new = !can_mark || !signal_source::is_marked(info);
        if (is_new) fresh++;
        if (is_new && number == SIGCHLD) dispositions::child_signal_was_taken(info);
        if ((is_new || keeps_old) && taken.count() < kMost) taken.add(info);
    }
    if (!can_mark) {
        fresh = news_of(found, left[number]);
        if (!keeps_old) taken.cut_to(taken.count() - std::min(found - fresh, taken.count()));
    }
    left[number] = 0;
    set_untold(bit_of(number));
    return static_cast<int>(fresh);
}

// Whether the signal was left for long enough, and is in the way of others.
bool is_overdue(int number, Nanos t) {
    return (dispositions::silent() & bit_of(number)) != 0 && signal_source::drops_others() &&
           t - told_at[number] >= kPatience;
}

void send_again(Taken& taken) {
    for (size_t i = 0; i < taken.count(); i++) {
        if (!signal_source::put_back(taken[i])) continue;
        left[taken[i].si_signo]++;
        set_told(bit_of(taken[i].si_signo));
    }
}

void count(int number, int times) {
    if (times > 0) told_at[number] = now(Clock::monotonic);
    for (int i = 0; i < times; i++)
        (void)signal_hub::arrived(number);
}

// How many of the pending signals of one number are news.
int examine(int number) {
    if (!signal_source::kCanTake) {  // told once while it is pending
        const int fresh = (told() & bit_of(number)) == 0 ? 1 : 0;
        set_told(bit_of(number));
        return fresh;
    }
    Taken taken;
    const int fresh = take_all(number, !is_overdue(number, now(Clock::monotonic)), taken);
    send_again(taken);
    taken.free_all();
    return fresh;
}

uint64_t overdue(uint64_t set) {
    if (set == 0) return 0;
    const Nanos t = now(Clock::monotonic);
    for (uint64_t rest = set; rest != 0; rest &= rest - 1)
        if (!is_overdue(__builtin_ctzll(rest) + 1, t)) set &= ~(rest & -rest);
    return set;
}

}  // namespace

uint64_t told() {
    return told_set.load();
}

void begin(int number) {
    if (signal_source::pending_of(bit_of(number)) == 0) return;
    (void)examine(number);
    told_at[number] = now(Clock::monotonic);
    (void)signal_source::has_news();
}

void end(int number) {
    left[number] = 0;
    set_untold(bit_of(number));
}

namespace {

// `pending`: those of the caught signals that are pending. `again`: a signal that was told may have
// been taken, and may have come again.
bool look_at(uint64_t pending, bool again) {
    int all = 0;
    for (int round = 0; round < kRounds; round++) {
        for (uint64_t gone = told() & ~pending; gone != 0; gone &= gone - 1)
            end(__builtin_ctzll(gone) + 1);
        uint64_t set = again ? pending : (pending & ~told()) | overdue(pending & told());
        if (set == 0) break;
        int news = 0;
        for (; set != 0; set &= set - 1) {
            const int number = __builtin_ctzll(set) + 1;
            const int fresh = examine(number);
            count(number, fresh);
            news += fresh;
        }
        all += news;
        // A signal that was sent again looks new to has_news(), and hides one that came in that
        // moment. So after news there is one look more. withdraw() finds what is hidden even then.
        again = news > 0;
        (void)signal_source::has_news();
        pending = signal_source::pending_of(signal_source::caught());
    }
    return all > 0;
}

}  // namespace

bool look(uint64_t pending) {
    return look_at(pending, pending != 0 && signal_source::has_news());
}

bool withdraw(Nanos& wait) {
    if (!signal_source::kCanTake) return false;
    // If there are other threads, a handler may run in one of them at the same time.
    const bool shared = signal_source::drops_others();
    uint64_t set = told() & (shared ? dispositions::silent() : ~uint64_t{0});
    if (set == 0) return false;
    if (shared && now(Clock::monotonic) - back_at < kShown) {
        if (wait > kShown) wait = kShown;
        return false;
    }
    for (; set != 0; set &= set - 1) {
        const int number = __builtin_ctzll(set) + 1;
        count(number, take_all(number, true, withdrawn));
    }
    return withdrawn.count() > 0;
}

void put_back() {
    if (withdrawn.count() == 0) return;
    (void)look(signal_source::pending_of(signal_source::caught()));
    const Nanos t = now(Clock::monotonic);
    // If one of these has come again, the new one stands for both.
    const uint64_t pending = signal_source::pending_of(~uint64_t{0});
    size_t kept = 0;
    for (size_t i = 0; i < withdrawn.count(); i++) {
        const int number = withdrawn[i].si_signo;
        const bool merged = is_merged(number) && (pending & bit_of(number)) != 0;
        if (!merged && !is_overdue(number, t)) withdrawn[kept++] = withdrawn[i];
    }
    withdrawn.cut_to(kept);
    send_again(withdrawn);
    withdrawn.free_all();
    back_at = t;
    // These are not taken once more: a thread that waits for one of them would find it gone again.
    // Signals that came since then are still found, because they were not told.
    (void)signal_source::has_news();
    (void)look_at(signal_source::pending_of(signal_source::caught()), false);
}

void abandon_in_child() {
    for (int number = 1; number <= kLastSignal; number++)
        end(number);
    withdrawn.free_all();
}

}  // namespace kq::left_signals
