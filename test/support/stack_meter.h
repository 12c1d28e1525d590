// SPDX-License-Identifier: BSD-2-Clause
// Measures how much of the caller's stack a call takes.
//
// It measures nothing under a sanitizer or where coverage is counted, because there frames are
// several times as large. Without optimization each inlined function has a frame of its own, so the
// limit is higher.
#ifndef KQTEST_STACK_METER_H
#define KQTEST_STACK_METER_H

#include <pthread.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <vector>

#include "support/kq.h"

namespace kqtest {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(KQTEST_COVERAGE)
constexpr bool kInstrumented = true;
#else
constexpr bool kInstrumented = false;
#endif

#ifdef NDEBUG
constexpr size_t kLimit = 8 * 1024;
#else
constexpr size_t kLimit = 14 * 1024;
#endif
constexpr size_t kStack = 256 * 1024;
constexpr size_t kMargin = 1024;  // not painted: the painter's own frame and what it calls
constexpr unsigned char kPaint = 0xa5;

// The stack of the thread that measures: it grows down to this.
inline unsigned char* bottom = nullptr;

[[gnu::noinline]] inline void paint() {
    unsigned char* const top = static_cast<unsigned char*>(__builtin_frame_address(0)) - kMargin;
    for (volatile unsigned char* at = bottom; at < top; at++)
        *at = kPaint;
}

[[gnu::noinline]] inline size_t untouched() {
    const volatile unsigned char* at = bottom;
    while (*at == kPaint)
        at++;
    return static_cast<size_t>(at - bottom);
}

// How many bytes of stack `call` takes below this frame. The frame of a lambda is counted, too,
// which is some 100 bytes.
template <class Call>
[[gnu::noinline]] size_t cost_of(const Call& call) {
    const auto* const here = static_cast<unsigned char*>(__builtin_frame_address(0));
    paint();
    call();
    return static_cast<size_t>(here - bottom) - untouched();
}

// Runs `body` in a thread whose stack is mapped here.
inline void on_own_stack(size_t size, const std::function<void()>& body) {
    void* memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    ASSERT_EQ(::mprotect(memory, 4096, PROT_NONE), 0);
    bottom = static_cast<unsigned char*>(memory) + 4096;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    ASSERT_EQ(pthread_attr_setstack(&attributes, memory, size), 0);
    pthread_t thread;
    const auto run = [](void* argument) -> void* {
        (*static_cast<const std::function<void()>*>(argument))();
        return nullptr;
    };
    void* argument = const_cast<void*>(static_cast<const void*>(&body));
    ASSERT_EQ(pthread_create(&thread, &attributes, run, argument), 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    ::munmap(memory, size);
}

// Makes calls, measures them, and remembers which call took most.
class Meter {
  public:
    explicit Meter(bool measures) : measures_(measures) {}

    // The answer of the call.
    template <class Call>
    int call(const char* what, const Call& body) {
        int result = -1;
        const auto keep = [&result, &body] { result = body(); };
        if (!measures_) {
            keep();
            return result;
        }
        const size_t cost = cost_of(keep);
        if (cost > most_) {
            most_ = cost;
            what_ = what;
        }
        EXPECT_LE(cost, kLimit) << what;
        return result;
    }
    int queue(const char* what) {
        return call(what, [] { return ::kqueue(); });
    }
    void apply(const char* what, int kq, const Event& change) {
        const int ret = call(what, [&] { return ::kevent(kq, &change, 1, nullptr, 0, nullptr); });
        const bool done = ret == 0 || errno == ENOTSUP || errno == ENOENT;
        EXPECT_TRUE(done) << what << ": " << to_string(change) << ": " << std::strerror(errno);
    }
    // Everything that may be done with a knote; `happens` makes it true.
    void use(const char* what, int kq, const Event& add, const std::function<void()>& happens) {
        Event change = add;
        apply(what, kq, change);
        apply(what, kq, change);
        happens();
        expect_event(what, kq);
        change.flags = EV_DISABLE;
        apply(what, kq, change);
        change.flags = EV_ENABLE;
        apply(what, kq, change);
        happens();
        expect_event(what, kq);
        change.flags = EV_DELETE;
        apply(what, kq, change);
        collect(what, kq);
    }
    int collect(const char* what, int kq, const timespec& limit = kAtOnce, int room = 64) {
        if (events_.size() < static_cast<size_t>(room)) events_.resize(static_cast<size_t>(room));
        return call(what, [&] { return ::kevent(kq, nullptr, 0, events_.data(), room, &limit); });
    }
    void expect_event(const char* what, int kq) {
        EXPECT_GT(collect(what, kq, to_timespec(kUsualLimit)), 0) << what;
    }
    void report() const {
        if (!measures_) return;
        std::printf("    the most is %zu bytes: %s\n", most_, what_);
    }

  private:
    bool measures_;
    size_t most_ = 0;
    const char* what_ = "nothing";
    std::vector<Event> events_;
};

}  // namespace kqtest

#endif
