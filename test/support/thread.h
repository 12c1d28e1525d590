// SPDX-License-Identifier: BSD-2-Clause
// Threads and child processes that cannot make a test hang.
#ifndef KQTEST_THREAD_H
#define KQTEST_THREAD_H

#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/fd.h"

namespace kqtest {

// A thread that must end: join(), or the destructor, waits for it. When the limit is over, that
// prints a message and aborts the whole program, because a thread that is stuck may still write
// into the frames of its test.
class Thread {
  public:
    explicit Thread(std::function<void()> body);
    Thread(Thread&&) noexcept;
    ~Thread();

    void join(milliseconds limit = kUsualLimit);
    bool joined() const;
    bool was_canceled() const;  // after join()

    // Waits until it sleeps in the kernel: blocked in kevent(), as far as others can see.
    void wait_until_asleep() const;
    // Likewise where it may end before that is seen, because it does not wait for long.
    void wait_until_asleep_or_ended() const;

    // After join(): waits until the kernel has forgotten the thread. Under an emulator, which joins
    // earlier than a kernel, the kernel still knew it in 748 of 1000 cases.
    void wait_until_gone() const;

    pthread_t handle() const;
    void cancel() const;            // pthread_cancel()
    void signal(int number) const;  // pthread_kill()
    // For a signal that ends the call in which the thread sleeps. It is repeated, because it does
    // not end the call if it comes between two slices of a sleep (L-EINTR).
    void signal_until_ended(int number) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// Waits until the thread or process sleeps in the kernel. False if it ends, or the limit is over.
bool wait_until_asleep(pid_t tid, milliseconds limit = time_limit());

// A forked child that runs `body` and exits with what it returns. Its standard error is kept.
class Child {
  public:
    explicit Child(std::function<int()> body);
    Child(const Child&) = delete;
    ~Child();  // kills it if it was not waited for

    pid_t pid() const { return pid_; }
    int wait(
        milliseconds limit = kUsualLimit);  // the wait status; -1 and a failure when time is over
    const std::string& errors();            // after wait()

  private:
    pid_t pid_ = -1;
    Fd stderr_;
    std::string errors_;
    bool waited_ = false;
};

// Every thread runs `body(index)`; returns when all have ended.
void in_threads(int count, const std::function<void(int)>& body);

// Lets n threads go on together, and none earlier.
class Gate {
  public:
    explicit Gate(int n) : missing_(n) {}
    void pass();

  private:
    std::atomic<int> missing_;
};

}  // namespace kqtest

#endif
