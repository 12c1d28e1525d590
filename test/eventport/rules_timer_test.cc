// SPDX-License-Identifier: BSD-2-Clause
// The rules of PORT_SOURCE_TIMER: 18, 19. For the sources see rules_test.cc.
#include "rules.h"

namespace {

using namespace rules;

class PortTimer {
  public:
    explicit PortTimer(int port, void* user = nullptr, clockid_t clock = CLOCK_MONOTONIC) {
        port_notify_t notify{port, user};
        sigevent event{};
        event.sigev_notify = SIGEV_PORT;
        event.sigev_value.sival_ptr = &notify;
        ret_ = ::timer_create(clock, &event, &id_);
        error_ = ret_ == 0 ? 0 : errno;
        notify = {-1, nullptr};  // it was copied
    }
    PortTimer(PortTimer&& other) noexcept
        : ret_(std::exchange(other.ret_, -1)), error_(other.error_), id_(other.id_) {}
    ~PortTimer() {
        if (ret_ != 0) return;
        EXPECT_EQ(::timer_delete(id_), 0);
    }
    int error() const { return error_; }
    timer_t id() const { return id_; }
    uintptr_t object() const { return reinterpret_cast<uintptr_t>(id_); }
    void set(long first_ns, long interval_ns = 0) const {
        const itimerspec value{{0, interval_ns}, {0, first_ns}};
        EXPECT_EQ(::timer_settime(id_, 0, &value, nullptr), 0);
    }

  private:
    int ret_;
    int error_;
    timer_t id_{};
};

// man/timer_create.3c; os/timer.c timer_create().
TEST_F(Rule, P18_ATimerReportsToAPort) {
    const Port port;
    const PortTimer timer(*port, cookie(5));
    timer.set(1'000'000);
    EXPECT_TRUE(port.readable(kLong)) << "poll() sees it";
    const auto events = port.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_source, PORT_SOURCE_TIMER);
    EXPECT_EQ(events[0].portev_events, 1);
    EXPECT_EQ(events[0].portev_object, timer.object());
    EXPECT_EQ(events[0].portev_user, cookie(5));
    EXPECT_EQ(getn(*port, 1, 1, 5).error, ETIME) << "no interval: once";
}

TEST_F(Rule, P18_AGetterSleepsUntilATimerExpires) {
    const Port port;
    const PortTimer timer(*port, nullptr, CLOCK_REALTIME);
    Getter getter(*port);
    getter.wait_until_asleep();
    timer.set(1'000'000);
    EXPECT_EQ(getter.result().events.size(), 1u);
}

// os/timer.c: timer_max; Oracle's tuning guide.
TEST_F(Rule, P18_AProcessHas32) {
    const Port a;
    const Port b;
    std::vector<PortTimer> timers;
    for (int i = 0; i < 32; i++) {
        timers.emplace_back(i % 2 == 0 ? *a : *b);
        ASSERT_EQ(timers.back().error(), 0);
    }
    EXPECT_EQ(PortTimer(*a).error(), EAGAIN);
    timers.pop_back();
    EXPECT_EQ(PortTimer(*a).error(), 0);
}

TEST_F(Rule, P18_Errors) {
    const Port port;
    const Pipe pipe;
    EXPECT_EQ(PortTimer(-1).error(), EBADF);
    EXPECT_EQ(PortTimer(*pipe.read).error(), EBADFD);
    EXPECT_EQ(PortTimer(*port, nullptr, CLOCK_THREAD_CPUTIME_ID).error(), EINVAL);
    const PortTimer timer(*port);
    const itimerspec bad{{0, 0}, {0, 1'000'000'000}};
    EXPECT_ERRNO(EINVAL, ::timer_settime(timer.id(), 0, &bad, nullptr));
    knobs("max_events=1");
    EXPECT_EQ(PortTimer(*port).error(), EAGAIN) << "the slots are used up";
    knobs("highres_off");
    EXPECT_EQ(PortTimer(*port).error(), EPERM);
    EXPECT_EQ(PortTimer(*port, nullptr, CLOCK_REALTIME).error(), 0);
}

TEST_F(Rule, P18_OtherTimersAreTheCLibrarys) {
    sigevent event{};
    event.sigev_notify = SIGEV_NONE;
    timer_t timer;
    ASSERT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    const itimerspec value{{0, 0}, {1000, 0}};
    itimerspec now{};
    EXPECT_EQ(::timer_settime(timer, 0, &value, nullptr), 0);
    EXPECT_EQ(::timer_gettime(timer, &now), 0);
    EXPECT_GT(now.it_value.tv_sec, 900);
    EXPECT_EQ(::timer_getoverrun(timer), 0);
    EXPECT_EQ(::timer_delete(timer), 0);
}

// os/timer.c timer_fire(), timer_port_callback(): it_pending.
TEST_F(Rule, P19_ExpirationsAreCountedUntilDelivery) {
    const Port port;
    const PortTimer timer(*port);
    timer.set(1'000'000, 1'000'000);
    ASSERT_TRUE(port.readable(kLong));
    EXPECT_EQ(port.count(), 1u);
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(10))
        std::this_thread::yield();
    EXPECT_EQ(port.count(), 1u) << "one event however often it expired";
    const auto events = port.now();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_GE(events[0].portev_events, 10);
    const auto more = port.wait();
    ASSERT_EQ(more.size(), 1u) << "it goes on";
    EXPECT_GE(more[0].portev_events, 1);
}

TEST_F(Rule, P19_TheCountStartsAgainAtDelivery) {
    const Port port;
    const PortTimer timer(*port);
    for (int i = 0; i < 2; i++) {
        timer.set(1);
        const auto events = port.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].portev_events, 1);
    }
}

TEST_F(Rule, P19_SettingItAgainLeavesAQueuedEvent) {
    const Port port;
    const PortTimer timer(*port);
    timer.set(1);
    ASSERT_TRUE(port.readable(kLong));
    const itimerspec later{{0, 0}, {1000, 0}};
    itimerspec old{};
    ASSERT_EQ(::timer_settime(timer.id(), 0, &later, &old), 0);
    EXPECT_EQ(old.it_value.tv_sec, 0);
    const auto events = port.now();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_events, 1);
    itimerspec left{};
    ASSERT_EQ(::timer_gettime(timer.id(), &left), 0);
    EXPECT_GT(left.it_value.tv_sec, 900);
}

TEST_F(Rule, P19_DeletingItTakesItsEventAway) {
    const Port port;
    {
        const PortTimer timer(*port);
        timer.set(1);
        ASSERT_TRUE(port.readable(kLong));
        EXPECT_EQ(port.count(), 1u);
    }
    EXPECT_EQ(port.count(), 0u);
    EXPECT_FALSE(port.readable());
}

TEST_F(Rule, P19_ATimerOutlivesItsPort) {
    Port port;
    const PortTimer timer(*port);
    timer.set(1'000'000, 1'000'000);
    port.close();
    timer.set(1);
    const Port another;
    EXPECT_EQ(getn(*another, 1, 1, 5).error, ETIME);
}

}  // namespace
