// SPDX-License-Identifier: BSD-2-Clause
// All filters at once, while other threads delete, disable, fork, duplicate and close. Each trigger
// has an account.
#include <unistd.h>

#include "stress/accounts.h"
#include "support/gaps.h"

namespace kqstress {
namespace {

class Everything : public Storm {
  protected:
    static Fd duplicate(const Queue& q) { return Fd(::dup(q.fd())); }
    void collect(const Queue& q, const std::atomic<bool>& stop, int nevents, bool by_duplicates);
    void come_and_go(Dice dice);

    std::atomic<long> duplicates_{0};
    std::atomic<long> queues_{0};
};

void Everything::collect(const Queue& q, const std::atomic<bool>& stop, int nevents,
                         bool by_duplicates) {
    while (!stop && !by_duplicates)
        for (const Event& event : q.collect(nevents, milliseconds{20}))
            Account::receive(event);
    while (!stop) {
        const Queue other(duplicate(q).release());
        duplicates_++;
        for (int i = 0; i < 4; i++)
            for (const Event& event : other.collect(nevents, milliseconds{5}))
                Account::receive(event);
    }
}

// Queues with a knote of each kind. They are closed when some of their events have been delivered.
// Other queues must not notice that.
void Everything::come_and_go(Dice dice) {
    const Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 1);
    for (; running() && !HasFailure(); queues_++) {
        Queue q;
        EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER),
                          change(1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 100),
                          change(*pipe.read, EVFILT_READ, EV_ADD),
                          change(*pipe.write, EVFILT_WRITE, EV_ADD | EV_CLEAR),
                          change(SIGRTMIN + 3, EVFILT_SIGNAL, EV_ADD),
                          change(::getpid(), EVFILT_PROC, EV_ADD, NOTE_EXIT)),
                  0);
        if (on_linux() && dice.one_in(2)) {
            Queue other(duplicate(q).release());
            EXPECT_GE(other.collect(1 + dice.up_to(4)).size(), 1u);
            std::swap(q, other);
            other.close();
            EXPECT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        }
        EXPECT_GE(q.collect(dice.up_to(4)).size(), 1u);
        q.close();
    }
}

TEST_F(Everything, R301_TheAccountsBalance) {
    rage([this] {
        const Queue q;
        const auto accounts = all_accounts(q, seed());
        std::atomic<bool> stop{false};
        duplicates_ = queues_ = 0;
        const bool has_duplicates = on_linux();  // asked here: threads would wait for it
        std::vector<Thread> collectors, drivers;
        for (const int nevents : {1, 3, 16})
            collectors.emplace_back(
                [&, nevents] { collect(q, stop, nevents, has_duplicates && nevents == 3); });
        for (const auto& account : accounts)
            drivers.emplace_back([&] {
                while (running() && !HasFailure() && account->round()) {
                }
            });
        drivers.emplace_back([&] { come_and_go(Dice(seed())); });
        for (Thread& driver : drivers)
            driver.join(milliseconds{600'000});
        stop = true;
        collectors.clear();
        for (const Event& event : q.collect())
            if (event.filter != EVFILT_WRITE) ADD_FAILURE() << "owed nothing: " << to_string(event);
        for (const auto& account : accounts) {
            account->balance();
            note((account->name() + " provoked").c_str(), account->provoked());
            note((account->name() + " delivered").c_str(), account->delivered());
            if (account->withdrawn() > 0)
                note((account->name() + " withdrawn").c_str(), account->withdrawn());
        }
        note("duplicates used", duplicates_);
        note("queues closed", queues_);
    });
}

}  // namespace
}  // namespace kqstress
