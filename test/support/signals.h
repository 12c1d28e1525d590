// SPDX-License-Identifier: BSD-2-Clause
// Signals in tests: restores handlers and masks, and checks that the library has left nothing
// behind.
#ifndef KQTEST_SIGNALS_H
#define KQTEST_SIGNALS_H

#include <gtest/gtest.h>
#include <signal.h>

#include <map>

#include "support/kq.h"

namespace kqtest {

using SignalFunction = void (*)(int);

// Changes, and what is reported for them; for `using`.
namespace signals {
inline constexpr int kReported = EV_ADD | EV_CLEAR;
inline Event add(int number) {
    return change(number, EVFILT_SIGNAL, EV_ADD);
}
inline Event remove(int number) {
    return change(number, EVFILT_SIGNAL, EV_DELETE);
}
}  // namespace signals

// Sets what is done with a signal; a failure fails the test.
void set_disposition(int number, SignalFunction function, int flags = 0);
// SIG_DFL, SIG_IGN or the function.
SignalFunction disposition(int number);

void send(int number, int times = 1);  // to this process

void block(int number);
void unblock(int number);
bool is_blocked(int number);  // in this thread
bool is_pending(int number);

// How often `count_signal` was called, in all threads.
extern "C" void count_signal(int number);
int signals_counted();

// At the beginning the signals that tests use have their default disposition and are not blocked.
// At the end all is put back, whatever the test did.
class SignalTest : public KqTest {
  public:
    SignalTest();
    ~SignalTest() override;

  private:
    std::map<int, struct sigaction> saved_;
    sigset_t mask_{};
};

}  // namespace kqtest

#endif
