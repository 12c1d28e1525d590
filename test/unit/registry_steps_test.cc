// SPDX-License-Identifier: BSD-2-Clause
// A signal handler runs between two instructions of the registry, in a process with one thread. The
// tests try each instruction, with the single-step mode of the processor. registry_cells.h.
#include <gtest/gtest.h>
#include <limits.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include "registry_lookup.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)

namespace kq::registry {
namespace {

void (*between)() = nullptr;  // what the handler does,
int steps = 0;                // at this many instructions from the first
int taken = 0;                // how many were taken

constexpr long kTrap = 0x100;  // the flag of the processor: a signal after each instruction

// After between() no more are told of.
void on_step(int /*signal*/, siginfo_t* /*info*/, void* context) {
    if (taken++ != steps) return;
    between();
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrap;
}

// Sets or clears the flag.
[[gnu::always_inline]] inline void step(bool on) {
    if (on)
        asm volatile("pushfq; orq $0x100, (%%rsp); popfq" : : : "memory", "cc");
    else
        asm volatile("pushfq; andq $~0x100, (%%rsp); popfq" : : : "memory", "cc");
}

class RegistrySteps : public testing::Test {
  protected:
    void SetUp() override {
        if (!single_threaded()) GTEST_SKIP() << "there is a second thread";
        struct sigaction action {};
        action.sa_sigaction = on_step;
        action.sa_flags = SA_SIGINFO;
        sigemptyset(&action.sa_mask);
        ASSERT_EQ(sigaction(SIGTRAP, &action, &old_), 0);
    }
    void TearDown() override {
        if (single_threaded()) (void)sigaction(SIGTRAP, &old_, nullptr);
    }

    // Calls begin(), body() with between() at one of its instructions, and check(); for each of the
    // instructions, or for some 50 of them where the compiler has made many.
    template <class Begin, class Body, class Check>
    void at_each_step(Begin begin, Body body, Check check) {
        int stride = 1;
        for (steps = INT_MAX;; steps = steps == INT_MAX ? 0 : steps + stride) {
            SCOPED_TRACE(testing::Message() << "at instruction " << steps);
            begin();
            taken = 0;
            step(true);
            body();
            step(false);
            const bool reached = taken > steps;
            if (!reached) between();
            check();
            if (taken == 0) GTEST_SKIP() << "single steps are not reported here";
            if (steps == INT_MAX)
                stride = 1 + taken / 50;
            else if (!reached)
                break;
        }
    }

  private:
    struct sigaction old_ {};
};

// ---- the word of a cell without a kqueue in it ----

Cell cell;
int destroyed = 0;

void become_live(uint32_t references) {
    cell.word = word_of(State::live) + references * kReference;
    destroyed = 0;
}
void give_back() {
    if (take_reference_off(cell)) destroyed++;
}
// As unpublish() does it: the registry's own reference goes.
void retire_cell() {
    cell.word.fetch_add(word_of(State::retired) - word_of(State::live));
    give_back();
}

// A load and a store of the word brought a retired cell back to life, with the reference that the
// registry had given back.
TEST_F(RegistrySteps, AReferenceIsTakenInOneInstruction) {
    between = retire_cell;
    at_each_step([] { become_live(1); }, [] { add_reference(cell); },
                 [] {
                     // Its only reference is gone if the handler came first: then it is dying.
                     const State state = destroyed == 1 ? State::dying : State::retired;
                     EXPECT_EQ(cell.word.load(), word_of(state) + kReference);
                 });
}

// The same bug in giving a reference back: then the cell was never destroyed.
TEST_F(RegistrySteps, AReferenceIsGivenBackInOneInstruction) {
    between = retire_cell;
    at_each_step([] { become_live(2); }, give_back,
                 [] {
                     EXPECT_EQ(cell.word.load(), word_of(State::dying));
                     EXPECT_EQ(destroyed, 1);
                 });
}

// ---- a kqueue ----

int fd = -1;
Kqueue* found = nullptr;

void open_one() {
    const Result<int> created = create(false);
    fd = created.ok() ? created.value() : -1;
    found = nullptr;
}
// Then the number is that of another kqueue. The first one is destroyed if there is no reference.
void replace_it() {
    (void)close(fd);
    open_one();
}

// find_plain() gave out a kqueue that was destroyed after it had read where it stands.
TEST_F(RegistrySteps, WhatIsFoundIsThere) {
    between = [] {
        Kqueue* const before = found;
        replace_it();
        found = before;
    };
    const auto find_now = [] {
        const Place* place = nullptr;
        Kqueue* const queue = look_up_plain(fd, place);
        if (queue == nullptr) return;
        if (take_plain(queue, place))
            found = queue;
        else
            release_and_reap(queue);
    };
    at_each_step(open_one, find_now, [] {
        if (found != nullptr) {
            const State state = state_of(Cell::of(found)->word.load());
            EXPECT_TRUE(state == State::live || state == State::retired);
            release_and_reap(found);
        }
        (void)close(fd);
        sweep();
    });
}

}  // namespace
}  // namespace kq::registry

#endif
