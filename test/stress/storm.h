// SPDX-License-Identifier: BSD-2-Clause
// Shared by the storms: how long they last, what must be the same before and after, accounting.
//
// KQ_STRESS_SECONDS in the environment says how long each storm lasts; 2 seconds if it is not set.
// With 8 seconds all storms together take more than a minute. KQ_STRESS_SEED repeats the random
// choices of a storm that has printed this seed. It does not repeat the choices of the system.
#ifndef KQSTRESS_STORM_H
#define KQSTRESS_STORM_H

#include <semaphore.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "support/signals.h"
#include "support/thread.h"

namespace kqstress {

using namespace kqtest;

// What the process has. It is counted before and after each storm.
struct Census {
    std::map<int, std::string> descriptors;
    long threads = 0;
    size_t heap = 0;  // bytes in use; 0 where a sanitizer has replaced malloc()

    static Census take();
};

// The number of seconds in an environment variable, or the usual number.
milliseconds wanted_time(const char* variable, double usual);

unsigned choose_seed();

// malloc() caches freed chunks for the one thread that is left, and counts them as used.
inline constexpr size_t kHeapSlack = 64 * 1024;

// Runs a storm some times. The first runs are short: they make everything that is made once and
// kept. The last run takes the whole time. Prints the censuses before it and after it, and fails
// the test if they differ.
class Storm : public SignalTest {
  protected:
    // `body` must stop its threads and close its queues when running() is false.
    void rage(const std::function<void()>& body);
    bool running() const { return now() < end_; }
    bool is_warming_up() const { return warming_up_; }  // so short that nothing may happen
    void note(const char* what, long count) const;      // printed with the test's name
    unsigned seed() const { return seed_; }             // printed, too

  private:
    Census warm_up(const std::function<void()>& body);

    Clock::time_point end_;
    bool warming_up_ = false;
    const unsigned seed_ = choose_seed();
};

// A semaphore whose wait has a limit.
class Semaphore {
  public:
    Semaphore() { ::sem_init(&semaphore_, 0, 0); }
    Semaphore(const Semaphore&) = delete;
    ~Semaphore() { ::sem_destroy(&semaphore_); }
    void post() { ::sem_post(&semaphore_); }
    bool wait(milliseconds limit = time_limit());

  private:
    sem_t semaphore_{};
};

// A knote. Each of its activations must be delivered exactly once. One thread drives it: it makes
// one activation, waits until a thread has got the event, and so on.
class Lane {
  public:
    // `provoke` makes one activation. `take` (may be null) does what the receiver has to do. It
    // returns false for an event that is to be ignored, because another thread has taken it.
    Lane(std::string name, std::function<void()> provoke, std::function<bool()> take = nullptr)
        : name_(std::move(name)), provoke_(std::move(provoke)), take_(std::move(take)) {}
    Lane(const Lane&) = delete;

    // Makes one activation and waits for its event. False if the event did not come, or came twice.
    bool drive();
    // A thread calls this for each event that it has collected. The event's udata is the Lane.
    static void receive(const Event& event);
    // Call this after the last drive(), when no more events are to come.
    void expect_all_delivered() const;
    long sent() const { return sent_; }

  private:
    std::string name_;
    std::function<void()> provoke_;
    std::function<bool()> take_;
    std::atomic<long> sent_{0};
    std::atomic<long> received_{0};
    Semaphore arrived_;
};

}  // namespace kqstress

#endif
