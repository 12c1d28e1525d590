// SPDX-License-Identifier: BSD-2-Clause
// Accounts: what was provoked, what was delivered, and whether both fit together.
//
// A Lane (storm.h) has one activation under way at a time. An Account has many, which race with
// EV_DELETE, EV_DISABLE, fork() and close(). It still knows which events must come.
#ifndef KQSTRESS_ACCOUNTS_H
#define KQSTRESS_ACCOUNTS_H

#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "stress/storm.h"

namespace kqstress {

// Random choices. The same seed gives the same choices.
class Dice {
  public:
    explicit Dice(unsigned seed) : engine_(seed) {}
    int up_to(int most) { return std::uniform_int_distribution<int>(1, most)(engine_); }
    bool one_in(int n) { return up_to(n) == 1; }

  private:
    std::minstd_rand engine_;
};

class Account {
  public:
    Account(std::string name, const Queue& q, unsigned seed)
        : q_(q), dice_(seed), name_(std::move(name)) {}
    Account(const Account&) = delete;
    virtual ~Account() = default;

    // For one thread: makes some activations and returns when all events for them have come. False
    // if they did not come.
    virtual bool round() = 0;
    // A thread calls this for each event that it has collected. The event's udata is the Account.
    static void receive(const Event& event);
    // Call this after the last round(), when no more events are to come.
    virtual void balance() const = 0;

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] long provoked() const { return provoked_; }
    [[nodiscard]] long delivered() const { return delivered_; }
    [[nodiscard]] long withdrawn() const { return withdrawn_; }

  protected:
    virtual void take(const Event& event) = 0;  // under mutex_

    int apply(Ident ident, int filter, int flags, unsigned fflags = 0, intptr_t data = 0);
    // Waits until take() has made the condition true. The condition is checked under mutex_.
    bool wait_until(const std::function<bool()>& condition, const char* what);

    const Queue& q_;
    Dice dice_;
    mutable std::mutex mutex_;
    std::atomic<long> provoked_{0};   // activations
    std::atomic<long> delivered_{0};  // events, or the sum of their `data`
    std::atomic<long> withdrawn_{0};  // deleted before any thread got them

  private:
    const std::string name_;
    std::condition_variable arrived_;
};

// One account of each kind, with knotes in `q`.
std::vector<std::unique_ptr<Account>> all_accounts(const Queue& q, unsigned seed);

// Adds the accounts of accounts_descriptors.cc.
void add_descriptor_accounts(const Queue& q, unsigned seed,
                             std::vector<std::unique_ptr<Account>>& to);

}  // namespace kqstress

#endif
