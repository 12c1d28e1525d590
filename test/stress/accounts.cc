// SPDX-License-Identifier: BSD-2-Clause
// Accounts of filters that need no descriptor: USER, TIMER, PROC, SIGNAL. See accounts.h.
#include "stress/accounts.h"

#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "support/gaps.h"

namespace kqstress {

void Account::receive(const Event& event) {
    auto* account = static_cast<Account*>(event.udata);
    if (account == nullptr || (event.flags & EV_ERROR) != 0) {
        ADD_FAILURE() << "a foreign event: " << to_string(event);
        return;
    }
    const std::lock_guard guard(account->mutex_);
    account->take(event);
    account->arrived_.notify_all();
}

int Account::apply(Ident ident, int filter, int flags, unsigned fflags, intptr_t data) {
    return q_.apply(change(ident, filter, flags, fflags, data, this));
}

bool Account::wait_until(const std::function<bool()>& condition, const char* what) {
    std::unique_lock lock(mutex_);
    if (arrived_.wait_until(lock, std::chrono::system_clock::now() + time_limit(), condition))
        return true;
    ADD_FAILURE() << name_ << ": " << what << ", after " << provoked_ << " provoked, " << delivered_
                  << " delivered, " << withdrawn_ << " withdrawn";
    return false;
}

namespace {

// ---- exactly once, or deleted ----

// Knotes that are reported once and are then gone. Some are deleted at the same time. If EV_DELETE
// finds the knote, no thread ever gets the event. If not, a thread has got it.
class Once : public Account {
  public:
    using Account::Account;

    bool round() override {
        {
            const std::lock_guard guard(mutex_);
            owed_.clear();
            seen_.clear();
        }
        const int count = dice_.up_to(most());
        for (int i = 0; i < count; i++) {
            const uintptr_t ident = provoke(i);
            if (ident == 0) return false;
            provoked_++;
            if (!dice_.one_in(3)) {
                owe(ident, 1);
                continue;
            }
            const bool deleted = q_.apply(change(ident, filter(), EV_DELETE)) == 0;
            withdrawn_ += deleted ? 1 : 0;
            owe(ident, deleted ? 0 : 1);
        }
        const bool done = wait_until(
            [this] {
                for (const auto& [ident, due] : owed_)
                    if (due > seen_[ident]) return false;
                return true;
            },
            "an event is missing");
        return clean_up() && done && same_as_owed();
    }
    void balance() const override {
        EXPECT_EQ(delivered_ + withdrawn_, provoked_) << name();
        EXPECT_TRUE(same_as_owed());
    }

  protected:
    // Arms the i-th knote of a round. Returns its ident, or 0.
    virtual uintptr_t provoke(int i) = 0;
    [[nodiscard]] virtual int filter() const = 0;
    [[nodiscard]] virtual int most() const { return 16; }
    virtual bool clean_up() { return true; }

    void take(const Event& event) override {
        delivered_++;
        seen_[event.ident]++;
    }

  private:
    void owe(uintptr_t ident, int count) {
        const std::lock_guard guard(mutex_);
        owed_[ident] = count;
    }
    bool same_as_owed() const {
        const std::lock_guard guard(mutex_);
        bool same = true;
        for (const auto& [ident, count] : seen_) {
            const auto owed = owed_.find(ident);
            const int due = owed == owed_.end() ? 0 : owed->second;
            if (due == count) continue;
            same = false;
            ADD_FAILURE() << name() << ": ident " << ident << " came " << count
                          << " times, but was owed " << due;
        }
        return same;
    }

    std::map<uintptr_t, int> owed_;  // of this round
    std::map<uintptr_t, int> seen_;
};

class UserOnce : public Once {
  public:
    using Once::Once;
    [[nodiscard]] int filter() const override { return EVFILT_USER; }
    uintptr_t provoke(int i) override {
        const uintptr_t ident = 100 + static_cast<uintptr_t>(i);
        EXPECT_EQ(apply(ident, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER), 0);
        return ident;
    }
};

class TimerOnce : public Once {
  public:
    using Once::Once;
    [[nodiscard]] int filter() const override { return EVFILT_TIMER; }
    uintptr_t provoke(int i) override {
        const uintptr_t ident = 100 + static_cast<uintptr_t>(i);
        EXPECT_EQ(apply(ident, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, dice_.up_to(2000)),
                  0);
        return ident;
    }
};

// Children that end at once. Each child first checks that it has not inherited the kqueue: R-281.
class Exits : public Once {
  public:
    using Once::Once;
    [[nodiscard]] int filter() const override { return EVFILT_PROC; }
    [[nodiscard]] int most() const override { return 3; }
    uintptr_t provoke(int) override {
        const int code = dice_.up_to(100);
        const pid_t pid = ::fork();
        if (pid == 0) ::_exit(inherited() ? 101 : code);
        EXPECT_GT(pid, 0);
        children_[pid] = code << 8;
        EXPECT_EQ(apply(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
        return static_cast<uintptr_t>(pid);
    }
    bool clean_up() override {
        for (const auto& [pid, expected] : children_) {
            int status = -1;
            EXPECT_EQ(::waitpid(pid, &status, 0), pid) << "R-201: it was reaped before";
            EXPECT_EQ(status, expected) << "101: has inherited the kqueue";
            const std::lock_guard guard(mutex_);
            const auto told = told_.find(pid);
            if (told != told_.end()) {
                EXPECT_EQ(told->second, status);
            }
        }
        children_.clear();
        return true;
    }

  private:
    bool inherited() const {
        Event event{};
        return ::kevent(q_.fd(), nullptr, 0, &event, 1, &kAtOnce) >= 0 || errno != EBADF;
    }
    void take(const Event& event) override {
        Once::take(event);
        told_[static_cast<pid_t>(event.ident)] = event.data;
    }
    std::map<pid_t, intptr_t> children_;
    std::map<pid_t, intptr_t> told_;
};

// ---- many triggers become one event ----

// Triggers that merge while no thread collects. Some come while the knote is disabled. Each trigger
// has a number in `data`, and an event has the number of its last trigger. So no two events have
// the same number, and the last event has the last number.
class UserMerged : public Account {
  public:
    UserMerged(const Queue& q, unsigned seed) : Account("USER CLEAR", q, seed) {
        EXPECT_EQ(apply(1, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    }
    bool round() override {
        for (int i = dice_.up_to(16); i > 0; i--) {
            const bool dark = dice_.one_in(4);
            const int flags = dark ? EV_DISABLE : 0;
            const long number = provoked_ + 1;
            {
                const std::lock_guard guard(mutex_);  // take() compares with provoked_
                provoked_ = number;
            }
            EXPECT_EQ(apply(1, EVFILT_USER, flags, NOTE_TRIGGER, number), 0);
            EXPECT_EQ(apply(1, EVFILT_USER, dark ? EV_ENABLE : 0, 0, number), 0);
        }
        return wait_until([this] { return last_ == provoked_; }, "the last trigger was not seen");
    }
    void balance() const override {
        EXPECT_GE(delivered_, std::min<long>(provoked_, 1));  // a short storm may have no round
        EXPECT_LE(delivered_, provoked_);
        EXPECT_EQ(last_, provoked_);
    }

  private:
    void take(const Event& event) override {
        delivered_++;
        last_ = std::max<long>(last_, event.data);
        if (!numbers_.insert(event.data).second || event.data > provoked_)
            ADD_FAILURE() << name() << ": trigger " << event.data << " came twice, or never was";
        while (numbers_.size() > 4096)
            numbers_.erase(numbers_.begin());
    }
    long last_ = 0;
    std::set<intptr_t> numbers_;
};

// The knote is triggered some times while it is disabled, and is then enabled. One event comes, and
// disables it again.
class UserDispatch : public Account {
  public:
    UserDispatch(const Queue& q, unsigned seed) : Account("USER DISPATCH", q, seed) {
        EXPECT_EQ(apply(2, EVFILT_USER, EV_ADD | EV_DISPATCH | EV_CLEAR | EV_DISABLE), 0);
    }
    bool round() override {
        for (int i = dice_.up_to(4); i > 0; i--)
            EXPECT_EQ(apply(2, EVFILT_USER, 0, NOTE_TRIGGER), 0);
        provoked_++;
        EXPECT_EQ(apply(2, EVFILT_USER, EV_ENABLE), 0);
        return wait_until([this] { return delivered_ >= provoked_; }, "no event");
    }
    void balance() const override { EXPECT_EQ(delivered_, provoked_) << name(); }

  private:
    void take(const Event&) override { delivered_++; }
};

// ThreadSanitizer remembers that a signal came, but not how often.
#if defined(__SANITIZE_THREAD__)
constexpr bool kSignalsAreCounted = false;
#else
constexpr bool kSignalsAreCounted = true;
#endif

// Real-time signals are not merged by the kernel: the sum of `data` is what was sent.
class Signals : public Account {
  public:
    Signals(const Queue& q, unsigned seed) : Account("SIGNAL", q, seed) {
        // ThreadSanitizer may deliver a signal late, when its thread has forked. The child then
        // gets the signal, too, and the signal would end the child.
        if (!kSignalsAreCounted) set_disposition(number_, SIG_IGN);
        EXPECT_EQ(apply(number_, EVFILT_SIGNAL, EV_ADD), 0);
    }
    bool round() override {
        const int count = dice_.up_to(8);
        const long before = delivered_;
        provoked_ += count;
        send(number_, count);
        return wait_until(
            [=, this] {
                return kSignalsAreCounted ? delivered_ >= provoked_ : delivered_ > before;
            },
            "a signal is missing");
    }
    void balance() const override {
        if (kSignalsAreCounted)
            EXPECT_EQ(delivered_, provoked_) << name();
        else
            EXPECT_LE(delivered_, provoked_) << name();
    }

  private:
    void take(const Event& event) override { delivered_ += event.data; }
    const int number_ = SIGRTMIN + 3;
};

}  // namespace

std::vector<std::unique_ptr<Account>> all_accounts(const Queue& q, unsigned seed) {
    std::vector<std::unique_ptr<Account>> all;
    all.push_back(std::make_unique<UserMerged>(q, seed + 1));
    all.push_back(std::make_unique<UserDispatch>(q, seed + 2));
    all.push_back(std::make_unique<UserOnce>("USER ONESHOT", q, seed + 3));
    all.push_back(std::make_unique<TimerOnce>("TIMER ONESHOT", q, seed + 4));
    all.push_back(std::make_unique<Exits>("PROC EXIT", q, seed + 5));
    all.push_back(std::make_unique<Signals>(q, seed + 6));
    add_descriptor_accounts(q, seed + 7, all);
    return all;
}

}  // namespace kqstress
