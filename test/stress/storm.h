// SPDX-License-Identifier: BSD-2-Clause
// What the storms share: how long they last, what must be the same before and after, accounting.
//
// KQ_STRESS_SECONDS in the environment: how long each storm lasts; 2 if it is not set. The ten
// storms with 8 seconds each are more than a minute. KQ_STRESS_SEED: the choices of a storm that
// makes some, as it has printed it; the system makes choices, too.
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

// What the process has: taken before and after each storm.
struct Census {
    std::map<int, std::string> descriptors;
    long threads = 0;
    size_t heap = 0;  // bytes in use; 0 where a sanitizer has replaced malloc()

    static Census take();
};

// As many seconds as a variable of the environment says, or the usual.
milliseconds wanted_time(const char* variable, double usual);

unsigned choose_seed();

// Freed chunks that malloc caches, for the one thread that is left, count as used.
inline constexpr size_t kHeapSlack = 64 * 1024;

// Runs what a storm does twice: briefly, so that what is made once and kept is there, then for the
// whole time. Prints the two censuses and fails the test if they differ.
class Storm : public SignalTest {
  protected:
    // `body` is to stop its threads and close its queues when running() is false.
    void rage(const std::function<void()>& body);
    bool running() const { return now() < end_; }
    void note(const char* what, long count) const;  // printed with the test's name
    unsigned seed() const { return seed_; }         // printed, too

  private:
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

// A knote whose activations are to be delivered exactly once each. One thread drives it: it
// provokes one activation, waits until somebody has it, and so on.
class Lane {
  public:
    // `provoke` makes one activation. `take` (may be null) does what the receiver has to do.
    Lane(std::string name, std::function<void()> provoke, std::function<void()> take = nullptr)
        : name_(std::move(name)), provoke_(std::move(provoke)), take_(std::move(take)) {}
    Lane(const Lane&) = delete;

    // One activation, and its delivery; false if that did not come, or came twice.
    bool drive();
    // What a thread that has collected an event does with it; its udata is the Lane.
    static void receive(const Event& event);
    // After the last drive(), when nothing is to come any more.
    void expect_all_delivered() const;
    long sent() const { return sent_; }

  private:
    std::string name_;
    std::function<void()> provoke_;
    std::function<void()> take_;
    std::atomic<long> sent_{0};
    std::atomic<long> received_{0};
    Semaphore arrived_;
};

}  // namespace kqstress

#endif
