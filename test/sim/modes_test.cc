// SPDX-License-Identifier: BSD-2-Clause
// EV_ONESHOT, EV_CLEAR, EV_DISPATCH, EV_RECEIPT and their combinations with READ, WRITE, USER and
// TIMER.; D-6 to D-8, D-10 to D-12, D-38, D-39.
#include "sim_test.h"

namespace sim {
namespace {

using std::vector;

// For each filter: a condition that a test can make true, and can make true again.
struct Source {
    int filter;
    uintptr_t ident;

    static Source make(int filter) {
        if (filter == EVFILT_USER || filter == EVFILT_TIMER) return {filter, 900};
        return {filter, static_cast<uintptr_t>(world().open(FdKind::unix_stream))};
    }
    [[nodiscard]] int fd() const { return static_cast<int>(ident); }
    [[nodiscard]] unsigned fflags() const { return filter == EVFILT_USER ? NOTE_TRIGGER : 0u; }
    [[nodiscard]] intptr_t data() const { return filter == EVFILT_TIMER ? 10 : 0; }

    Errno add(Queue& q, unsigned flags) const {
        return q.change(ident, filter, EV_ADD | flags, 0, data());
    }
    Errno set(Queue& q, unsigned flags) const { return q.change(ident, filter, flags); }
    // Makes the condition true, also for a second time.
    void happen(Queue& q) const {
        if (filter == EVFILT_USER) (void)q.change(ident, filter, 0, NOTE_TRIGGER);
        if (filter == EVFILT_TIMER) world().advance(10 * kMillisecond);
        if (filter == EVFILT_READ) world().feed(fd(), 1);
        if (filter != EVFILT_WRITE) return;
        world().room(fd(), -world().file(fd()).space);
        world().room(fd(), 100);
    }
    [[nodiscard]] bool is_timer() const { return filter == EVFILT_TIMER; }
};

class Modes : public Sim, public testing::WithParamInterface<int> {
  protected:
    Queue q;
    Source source = Source::make(GetParam());

    vector<int> flags_of(const Kevents& events) {
        vector<int> flags;
        for (const struct kevent& kev : events)
            flags.push_back(kev.flags & ~(source.is_timer() ? EV_CLEAR : 0));
        return flags;
    }
    const vector<int> none{};
};

std::string name_of(const testing::TestParamInfo<int>& info) {
    switch (info.param) {
        case EVFILT_READ:
            return "Read";
        case EVFILT_WRITE:
            return "Write";
        case EVFILT_USER:
            return "User";
        default:
            return "Timer";
    }
}

INSTANTIATE_TEST_SUITE_P(All, Modes,
                         testing::Values(EVFILT_READ, EVFILT_WRITE, EVFILT_USER, EVFILT_TIMER),
                         name_of);

// Timers always have EV_CLEAR.
TEST_P(Modes, LevelIsReportedUntilItIsNoLongerTrue) {
    ASSERT_EQ(source.add(q, 0), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    source.happen(q);
    EXPECT_EQ(flags_of(q.wait()), vector<int>{EV_ADD});
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(q.wait().size(), source.is_timer() ? 0u : 1u);
}

//
TEST_P(Modes, ClearIsReportedOnceForEachTime) {
    ASSERT_EQ(source.add(q, EV_CLEAR), Errno::ok);
    for (int i = 0; i < 3; i++) {
        source.happen(q);
        EXPECT_TRUE(q.readable());
        EXPECT_EQ(q.wait().size(), 1u);
        EXPECT_TRUE(q.wait().empty());
        EXPECT_FALSE(q.readable());
    }
}

//
TEST_P(Modes, OneshotIsReportedOnceAndGone) {
    ASSERT_EQ(source.add(q, EV_ONESHOT), Errno::ok);
    source.happen(q);
    EXPECT_EQ(flags_of(q.wait()), vector<int>{EV_ADD | EV_ONESHOT});
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
    EXPECT_EQ(source.set(q, EV_DELETE), Errno::no_entry);
    EXPECT_EQ(source.set(q, EV_ENABLE), Errno::no_entry);
    ASSERT_EQ(source.add(q, EV_ONESHOT), Errno::ok);  // but it can be added again
    source.happen(q);
    EXPECT_EQ(q.wait().size(), 1u);
}

// D-15 for timers.
TEST_P(Modes, DispatchDisablesAfterEachReport) {
    ASSERT_EQ(source.add(q, EV_DISPATCH), Errno::ok);
    source.happen(q);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(flags_of(q.wait()), vector<int>{EV_ADD | EV_DISPATCH});
        EXPECT_TRUE(q.wait().empty());
        source.happen(q);
        EXPECT_TRUE(q.wait().empty());
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(source.set(q, EV_ENABLE), Errno::ok);
        if (!source.is_timer()) continue;
        EXPECT_TRUE(q.wait().empty());  // the period starts with EV_ENABLE
        source.happen(q);
    }
}

// R-93, D-39.
TEST_P(Modes, DispatchAndClearDoBoth) {
    ASSERT_EQ(source.add(q, EV_DISPATCH | EV_CLEAR), Errno::ok);
    source.happen(q);
    EXPECT_EQ(q.wait().size(), 1u);
    source.happen(q);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(source.set(q, EV_ENABLE), Errno::ok);
    if (source.is_timer()) source.happen(q);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_TRUE(q.wait().empty());
}

// R-94, D-8.
TEST_P(Modes, OneshotWinsOverDispatchAndClear) {
    for (const unsigned flags : {EV_DISPATCH | 0u, EV_CLEAR | 0u, EV_DISPATCH | EV_CLEAR | 0u}) {
        ASSERT_EQ(source.add(q, EV_ONESHOT | flags), Errno::ok);
        source.happen(q);
        EXPECT_EQ(q.wait().size(), 1u);
        EXPECT_EQ(source.set(q, EV_DELETE), Errno::no_entry);
    }
}

// D-10: EV_ADD does not enable.
TEST_P(Modes, AddingAgainDoesNotEnable) {
    ASSERT_EQ(source.add(q, EV_DISABLE), Errno::ok);
    ASSERT_EQ(source.add(q, 0), Errno::ok);
    source.happen(q);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(source.add(q, EV_ENABLE), Errno::ok);
    if (source.is_timer()) source.happen(q);
    EXPECT_EQ(q.wait().size(), 1u);
}

// the knote is disabled while its event is pending.
TEST_P(Modes, DisablingHidesWhatIsPending) {
    ASSERT_EQ(source.add(q, 0), Errno::ok);
    source.happen(q);
    // The others wait in the kernel. This call collects them, but has no room left to report them.
    if (source.filter != EVFILT_USER) {
        const auto other = change(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER);
        EXPECT_EQ(q.wait(1, 0, {other}).size(), 1u);
    }
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(source.set(q, EV_DISABLE), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(source.set(q, EV_ENABLE), Errno::ok);
    if (source.is_timer()) source.happen(q);
    EXPECT_EQ(q.wait().size(), 1u);
}

//
TEST_P(Modes, DisabledOneshotWaits) {
    ASSERT_EQ(source.add(q, EV_ONESHOT | EV_DISABLE), Errno::ok);
    source.happen(q);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(source.set(q, EV_ENABLE), Errno::ok);
    if (source.is_timer()) source.happen(q);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(source.set(q, EV_DELETE), Errno::no_entry);
}

// the first EV_ADD says what kind of knote it is.
TEST_P(Modes, NatureIsThatOfTheFirstAdd) {
    ASSERT_EQ(source.add(q, EV_ONESHOT | EV_RECEIPT), Errno::ok);
    ASSERT_EQ(source.add(q, EV_DISPATCH), Errno::ok);
    source.happen(q);
    EXPECT_EQ(flags_of(q.wait()), vector<int>{EV_ADD | EV_ONESHOT | EV_RECEIPT});
    EXPECT_EQ(source.set(q, EV_ENABLE), Errno::no_entry);
}

// D-7.
TEST_P(Modes, OneKnoteForAKey) {
    ASSERT_EQ(source.add(q, 0), Errno::ok);
    ASSERT_EQ(source.add(q, 0), Errno::ok);
    source.happen(q);
    EXPECT_EQ(q.wait().size(), 1u);
    ASSERT_EQ(source.add(q, EV_DELETE), Errno::ok);
    EXPECT_EQ(source.set(q, EV_DELETE), Errno::no_entry);
    ASSERT_EQ(source.add(q, EV_DELETE), Errno::ok);  // creates it
    EXPECT_EQ(source.set(q, EV_DELETE), Errno::ok);
}

// R-41, D-6, D-12.
TEST_P(Modes, ContradictionsAndUdata) {
    int tag = 0;
    ASSERT_EQ(source.add(q, 0), Errno::ok);
    EXPECT_EQ(source.set(q, EV_ENABLE | EV_DISABLE), Errno::invalid);
    ASSERT_EQ(q.change(source.ident, source.filter, EV_ENABLE, 0, 0, &tag), Errno::ok);
    source.happen(q);
    if (source.filter == EVFILT_USER) return;  // triggering it sets udata, R-77
    const Kevents events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].udata, &tag);
    EXPECT_EQ(events[0].flags & (EV_ENABLE | EV_DISABLE | EV_DELETE | EV_ERROR), 0);
}

//
TEST_P(Modes, TwoQueuesAreIndependent) {
    Queue other;
    for (Queue* queue : {&q, &other})
        ASSERT_EQ(source.add(*queue, EV_CLEAR), Errno::ok);
    source.happen(q);
    if (source.filter == EVFILT_USER) source.happen(other);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(other.wait().size(), 1u);
}

class ModesOfDescriptors : public Sim {};

// R-90, D-38: a level condition is checked again before it is reported.
TEST_F(ModesOfDescriptors, OneshotIsNotReportedWhenDrainedMeanwhile) {
    Queue q;
    const int fd = readable(3);
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_ONESHOT), Errno::ok);
    EXPECT_EQ(q.wait(1, 0, {change(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)}).size(), 1u);
    drain(fd);
    EXPECT_TRUE(q.wait().empty());
    world().feed(fd, 2);
    EXPECT_EQ(only_data(q.wait()), 2);
}

//
TEST_F(ModesOfDescriptors, EdgesComeBackWhenAskedFor) {
    Queue q;
    const int fd = readable(5);
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    EXPECT_EQ(only_data(q.wait()), 5);
    world().feed(fd, -2);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    EXPECT_EQ(only_data(q.wait()), 3);
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_DISABLE), Errno::ok);
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ENABLE), Errno::ok);
    EXPECT_EQ(only_data(q.wait()), 3);
    EXPECT_TRUE(q.wait().empty());
}

// any two modes side by side on one descriptor.
TEST_F(ModesOfDescriptors, DirectionsKeepTheirModes) {
    const unsigned modes[] = {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH};
    for (const bool share : {false, true})
        for (const unsigned read : modes)
            for (const unsigned write : modes) {
                SCOPED_TRACE(std::to_string(read) + " and " + std::to_string(write));
                reset();
                world().share_lanes = share;
                Queue q;
                const int fd = readable();
                world().room(fd, 10);
                ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | read), Errno::ok);
                ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_ADD | write), Errno::ok);
                EXPECT_EQ(q.wait().size(), 2u);
                const Kevents again = q.wait();
                EXPECT_EQ(again.size(), (read == 0 ? 1u : 0u) + (write == 0 ? 1u : 0u));
                world().feed(fd, 1);
                EXPECT_EQ(q.wait().size(),
                          (read == 0 || read == EV_CLEAR ? 1u : 0u) + (write == 0 ? 1u : 0u));
                (void)q.change(fd, EVFILT_READ, EV_DELETE);
                EXPECT_EQ(q.wait().size(), write == 0 ? 1u : 0u);
            }
}

}  // namespace
}  // namespace sim
