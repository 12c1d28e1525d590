// SPDX-License-Identifier: BSD-2-Clause
// Which changes are refused. A refused change changes nothing.; D-6,
// D-7, D-9 and the errno matrix. Filters that this build lacks are in missing_test.cc.
#include <fcntl.h>

#include <cerrno>
#include <climits>
#include <fstream>
#include <functional>
#include <ostream>
#include <string>

#include "support/kq.h"

namespace kqtest {
namespace {

// A queue with a knote of every kind, and what else a refused change may name.
struct Scene {
    Scene() {
        write_bytes(*ready.write, 5);
        EXPECT_EQ(q.apply(change(*ready.read, EVFILT_READ, EV_ADD, 0, 0, tag(1)),
                          change(101, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, 7, tag(2)),
                          change(102, EVFILT_USER, EV_ADD | EV_DISABLE, NOTE_TRIGGER, 8, tag(3)),
                          change(101, EVFILT_TIMER, EV_ADD, 0, 60'000, tag(4))),
                  0);
    }

    // All of it is as it was.
    void expect_unchanged() const {
        const auto events = q.collect();
        ASSERT_EQ(events.size(), 2u);
        const size_t user = events[0].filter == EVFILT_USER ? 0 : 1;
        expect_event(events[user], 101, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 7, tag(2));
        expect_event(events[1 - user], *ready.read, EVFILT_READ, EV_ADD, 0, 5, tag(1));
        EXPECT_EQ(drain(*ready.read), 5u);
        expect_silent(q);
        EXPECT_EQ(q.apply(change(102, EVFILT_USER, EV_ENABLE, 0, 0, tag(3))), 0);
        expect_only(q.collect(), 102, EVFILT_USER, EV_ADD, 0, 8, tag(3));
        EXPECT_EQ(q.apply(change(101, EVFILT_TIMER, EV_DELETE), change(101, EVFILT_USER, EV_DELETE),
                          change(102, EVFILT_USER, EV_DELETE),
                          change(*ready.read, EVFILT_READ, EV_DELETE)),
                  0);
    }

    Queue q;
    Queue other;
    Pipe ready = make_pipe();
    Pipe idle = make_pipe();
    int closed = free_number();
};

struct Case {
    const char* name;
    int error;
    std::function<Event(const Scene&)> make;
    friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }
};

Case fixed(const char* name, int error, Event c) {
    return {name, error, [c](const Scene&) { return c; }};
}

class Refused : public KqTest, public testing::WithParamInterface<Case> {};

TEST_P(Refused, WithoutEventlist) {
    const Scene scene;
    const Event c = GetParam().make(scene);
    SCOPED_TRACE(to_string(c));
    expect_failed(scene.q.call({c}, 0, kForever), GetParam().error);
    scene.expect_unchanged();
}

TEST_P(Refused, WithEventlist) {
    const Scene scene;
    const Event c = GetParam().make(scene);
    SCOPED_TRACE(to_string(c));
    expect_answers(scene.q.call({c}, 8, kForever), {{c, GetParam().error}});
    scene.expect_unchanged();
}

TEST_P(Refused, R69_LeavesNoKnote) {
    const Scene scene;
    Event c = GetParam().make(scene);
    SCOPED_TRACE(to_string(c));
    ASSERT_EQ(scene.q.apply(c), GetParam().error);
    c.flags = EV_DELETE;
    const int error = scene.q.apply(c);
    EXPECT_TRUE(error == ENOENT || error == GetParam().error) << error;
}

TEST_P(Refused, R70_InTheMiddleOfAList) {
    const Scene scene;
    const Event c = GetParam().make(scene);
    SCOPED_TRACE(to_string(c));
    const Result result = scene.q.call({change(201, EVFILT_USER, EV_ADD | EV_ONESHOT), c,
                                        change(201, EVFILT_USER, 0, NOTE_TRIGGER, 3)},
                                       8, kForever);
    expect_answers(result, {{c, GetParam().error}});
    const auto events = scene.q.collect();
    ASSERT_EQ(events.size(), 3u);
    for (const Event& e : events)
        if (e.ident == 201) expect_event(e, 201, EVFILT_USER, EV_ADD | EV_ONESHOT, 0, 3);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
    return info.param.name;
}

// R-39; D-9
INSTANTIATE_TEST_SUITE_P(R39_UnknownFilter, Refused,
                         testing::Values(fixed("Positive", EINVAL, change(1, 0x7f, EV_ADD)),
                                         fixed("VeryNegative", EINVAL, change(1, -100, EV_ADD)),
                                         fixed("Zero", EINVAL, change(1, 0, EV_ADD)),
                                         fixed("One", EINVAL, change(1, 1, EV_ADD)),
                                         fixed("FirstBeyondTheLast", EINVAL,
                                               change(1, -EVFILT_SYSCOUNT - 1, EV_ADD)),
                                         fixed("Lowest", EINVAL, change(1, SHRT_MIN, EV_ADD)),
                                         fixed("Highest", EINVAL, change(1, SHRT_MAX, EV_ADD)),
                                         fixed("Delete", EINVAL, change(1, 0x7f, EV_DELETE)),
                                         fixed("Enable", EINVAL, change(1, -100, EV_ENABLE)),
                                         fixed("NoAction", EINVAL, change(1, -100, 0)),
                                         fixed("ZeroDelete", EINVAL, change(1, 0, EV_DELETE))),
                         case_name);

// R-41; D-6
INSTANTIATE_TEST_SUITE_P(
    R41_EnableAndDisable, Refused,
    testing::Values(fixed("ANewKnote", EINVAL,
                          change(1, EVFILT_USER, EV_ADD | EV_ENABLE | EV_DISABLE)),
                    fixed("AMissingKnote", EINVAL, change(1, EVFILT_USER, EV_ENABLE | EV_DISABLE)),
                    Case{"ANewReadKnote", EINVAL,
                         [](const Scene& s) {
                             return change(*s.idle.read, EVFILT_READ,
                                           EV_ADD | EV_ENABLE | EV_DISABLE);
                         }}),
    case_name);

//
INSTANTIATE_TEST_SUITE_P(
    R43_NoSuchKnote, Refused,
    testing::Values(
        fixed("UserDelete", ENOENT, change(999, EVFILT_USER, EV_DELETE)),
        fixed("UserEnable", ENOENT, change(999, EVFILT_USER, EV_ENABLE)),
        fixed("UserDisable", ENOENT, change(999, EVFILT_USER, EV_DISABLE)),
        fixed("UserNoAction", ENOENT, change(999, EVFILT_USER, 0)),
        fixed("R280_UserTrigger", ENOENT, change(999, EVFILT_USER, 0, NOTE_TRIGGER)),
        fixed("UserEnableAndTrigger", ENOENT, change(999, EVFILT_USER, EV_ENABLE, NOTE_TRIGGER)),
        fixed("UserOnlyClear", ENOENT, change(999, EVFILT_USER, EV_CLEAR | EV_ONESHOT)),
        fixed("R61_TimerDelete", ENOENT, change(999, EVFILT_TIMER, EV_DELETE)),
        fixed("TimerEnable", ENOENT, change(999, EVFILT_TIMER, EV_ENABLE)),
        fixed("TimerNoAction", ENOENT, change(999, EVFILT_TIMER, 0, 0, 1)),
        fixed("OtherFilterSameIdent", ENOENT, change(102, EVFILT_TIMER, EV_DELETE)),
        Case{"R59_ReadDelete", ENOENT,
             [](const Scene& s) { return change(*s.idle.read, EVFILT_READ, EV_DELETE); }},
        Case{"ReadEnable", ENOENT,
             [](const Scene& s) { return change(*s.idle.read, EVFILT_READ, EV_ENABLE); }},
        Case{"ReadDisable", ENOENT,
             [](const Scene& s) { return change(*s.idle.read, EVFILT_READ, EV_DISABLE); }},
        Case{"R42_ReadNoAction", ENOENT,
             [](const Scene& s) { return change(*s.idle.read, EVFILT_READ, 0); }},
        Case{"R60_WriteDelete", ENOENT,
             [](const Scene& s) { return change(*s.idle.write, EVFILT_WRITE, EV_DELETE); }},
        Case{"OtherFilterSameDescriptor", ENOENT,
             [](const Scene& s) { return change(*s.ready.read, EVFILT_WRITE, EV_DELETE); }}),
    case_name);

// A bad descriptor is found before a missing knote.
INSTANTIATE_TEST_SUITE_P(
    R57_BadDescriptor, Refused,
    testing::Values(
        fixed("R56_MinusOne", EBADF, change(-1, EVFILT_READ, EV_ADD)),
        fixed("R56_WriteMinusOne", EBADF, change(-1, EVFILT_WRITE, EV_ADD)),
        fixed("IntMax", EBADF, change(INT_MAX, EVFILT_READ, EV_ADD)),
        fixed("BeyondInt", EBADF, change(uintptr_t{INT_MAX} + 1, EVFILT_READ, EV_ADD)),
        fixed("LowHalfIsADescriptor", EBADF,
              change((uintptr_t{1} << (sizeof(uintptr_t) * CHAR_BIT / 2)), EVFILT_READ, EV_ADD)),
        Case{"Closed", EBADF, [](const Scene& s) { return change(s.closed, EVFILT_READ, EV_ADD); }},
        Case{"ClosedWrite", EBADF,
             [](const Scene& s) { return change(s.closed, EVFILT_WRITE, EV_ADD); }},
        Case{"ClosedAddDisabled", EBADF,
             [](const Scene& s) { return change(s.closed, EVFILT_READ, EV_ADD | EV_DISABLE); }},
        Case{"ClosedDelete", EBADF,
             [](const Scene& s) { return change(s.closed, EVFILT_READ, EV_DELETE); }},
        // 0x2 is FreeBSD's NOTE_FILE_POLL, which is refused where the descriptor is open
        Case{"ClosedAddWithBitsOfOthers", EBADF,
             [](const Scene& s) { return change(s.closed, EVFILT_READ, EV_ADD, 0x2); }},
        Case{"ClosedEnable", EBADF,
             [](const Scene& s) { return change(s.closed, EVFILT_READ, EV_ENABLE); }},
        Case{"ClosedNoAction", EBADF,
             [](const Scene& s) { return change(s.closed, EVFILT_WRITE, 0); }}),
    case_name);

//
INSTANTIATE_TEST_SUITE_P(
    R63_KqueueDescriptor, Refused,
    testing::Values(Case{"Itself", EINVAL,
                         [](const Scene& s) { return change(s.q.fd(), EVFILT_READ, EV_ADD); }},
                    Case{"WriteOnItself", EINVAL,
                         [](const Scene& s) { return change(s.q.fd(), EVFILT_WRITE, EV_ADD); }},
                    Case{"WriteOnAnother", EINVAL,
                         [](const Scene& s) {
                             return change(s.other.fd(), EVFILT_WRITE, EV_ADD | EV_CLEAR);
                         }}),
    case_name);

// D-18
INSTANTIATE_TEST_SUITE_P(
    R66_Timer, Refused,
    testing::Values(
        fixed("Negative", EINVAL, change(1, EVFILT_TIMER, EV_ADD, 0, -1)),
        fixed("NegativeOneshot", EINVAL, change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, -1)),
        fixed("NegativeSeconds", EINVAL, change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, -1)),
        fixed("NegativeNanoseconds", EINVAL, change(1, EVFILT_TIMER, EV_ADD, NOTE_NSECONDS, -1)),
        fixed("MostNegative", EINVAL, change(1, EVFILT_TIMER, EV_ADD, 0, INTPTR_MIN)),
        fixed("NegativeDisabled", EINVAL, change(1, EVFILT_TIMER, EV_ADD | EV_DISABLE, 0, -1)),
        fixed("R67_TwoUnits", EINVAL,
              change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS | NOTE_USECONDS, 1)),
        fixed("R67_TwoOtherUnits", EINVAL,
              change(1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS | NOTE_NSECONDS, 1)),
        fixed("R67_TwoFarUnits", EINVAL,
              change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS | NOTE_NSECONDS, 1)),
        fixed("R67_ThreeUnits", EINVAL,
              change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS | NOTE_USECONDS | NOTE_NSECONDS, 1)),
        fixed("R68_UnknownBit", EINVAL, change(1, EVFILT_TIMER, EV_ADD, 0x8000, 1)),
        fixed("R68_UnknownLowBit", EINVAL, change(1, EVFILT_TIMER, EV_ADD, 0x200, 1)),
        fixed("R68_UnknownTopBit", EINVAL,
              change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS | 0x80000000u, 1))),
    case_name);

class Changes : public KqTest {};

// 0 if it cannot be known.
size_t resident_pages() {
    std::ifstream file("/proc/self/statm");
    size_t total = 0;
    size_t resident = 0;
    return file >> total >> resident ? resident : 0;
}

TEST_F(Changes, R41_EnableAndDisableOnAnExistingKnoteChangeNothing) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, 1, tag(1)),
                      change(2, EVFILT_USER, EV_ADD | EV_CLEAR | EV_DISABLE, NOTE_TRIGGER)),
              0);
    const auto both = EV_ENABLE | EV_DISABLE;
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, both, NOTE_FFCOPY | 3u, 4, tag(5))), EINVAL);
    EXPECT_EQ(q.apply(change(2, EVFILT_USER, both)), EINVAL);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | both)), EINVAL);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE | both)), EINVAL);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 1, tag(1));
}

// Nothing is made for a number that is no descriptor.
TEST_F(Changes, R56_AWildIdentCostsNoMemory) {
    const Queue q;
    const size_t before = resident_pages();
    if (before == 0) GTEST_SKIP() << "not to be known on this system";
    for (const int wild : {INT_MAX, INT_MAX / 2, 1'000'000'000})
        for (const int flags : {EV_ADD, EV_DELETE, EV_ENABLE})
            EXPECT_EQ(q.apply(change(wild, EVFILT_READ, flags)), EBADF);
    EXPECT_LT(resident_pages(), before + 4096);
}

TEST_F(Changes, R58_DeleteOfAClosedDescriptorIsEbadfAndFreesTheKnote) {
    const Queue q;
    const Pipe p = make_pipe();
    const int number = ::dup(*p.read);
    ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD)), 0);
    ::close(number);
    EXPECT_EQ(q.apply(change(number, EVFILT_READ, EV_DELETE)), EBADF);
    const Fd again{::dup2(*p.read, number)};
    EXPECT_EQ(q.apply(change(number, EVFILT_READ, EV_DELETE)), ENOENT);
    write_bytes(*p.write, 1);
    expect_none(q.collect(16, milliseconds{50}));
}

TEST_F(Changes, R69_AFailedAddCanBeRepeatedCorrectly) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, -1)), EINVAL);
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1)), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1);
}

TEST_F(Changes, R71_AFileThatIsOpenForWritingOnlyCanBeWatchedForReading) {
    const Queue q;
    const TempFile file("abc");
    const Fd fd = open_file(file.path, O_WRONLY);
    EXPECT_EQ(q.apply(change(*fd, EVFILT_READ, EV_ADD)), 0);
    expect_only(q.collect(), *fd, EVFILT_READ, EV_ADD, 0, 3);
    EXPECT_EQ(q.apply(change(*fd, EVFILT_READ, EV_DELETE)), 0);
}

// D-7, as FreeBSD does it.
TEST_F(Changes, R104_AddAndDeleteOfAnExistingKnoteDeletes) {
    const Queue q;
    const Pipe p = make_pipe();
    write_bytes(*p.write, 1);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
                      change(1, EVFILT_TIMER, EV_ADD, 0, 1), change(*p.read, EVFILT_READ, EV_ADD)),
              0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_DELETE),
                      change(1, EVFILT_TIMER, EV_ADD | EV_DELETE, 0, 1),
                      change(*p.read, EVFILT_READ, EV_ADD | EV_DELETE)),
              0);
    expect_none(q.collect(16, milliseconds{50}));
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
    EXPECT_FALSE(has_knote(q, 1, EVFILT_TIMER));
    EXPECT_FALSE(has_knote(q, *p.read, EVFILT_READ));
}

// A knote that ended with its descriptor counts as missing, too.
TEST_F(Changes, R104_AddAndDeleteOfOneThatWasClosedCreatesAnother) {
    for (const int flags : {0, +EV_UDATA_SPECIFIC}) {
        const Queue q;
        Pipe old = make_pipe();
        const int number = *old.read;
        ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | flags)), 0);
        const Pipe p = make_pipe();
        old.read.reset();
        ASSERT_EQ(::dup2(*p.read, number), number);
        old.read.reset(number);
        write_bytes(*p.write, 1);
        ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | EV_DELETE | flags)), 0);
        expect_only(q.collect(), number, EVFILT_READ, EV_ADD | flags, 0, 1);
    }
}

TEST_F(Changes, R104_AddAndDeleteOfAMissingKnoteCreatesIt) {
    const Queue q;
    const Pipe p = make_pipe();
    write_bytes(*p.write, 1);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_DELETE)), 0);
    expect_only(q.collect(), *p.read, EVFILT_READ, EV_ADD, 0, 1);  // no EV_DELETE in it
    EXPECT_TRUE(has_knote(q, *p.read, EVFILT_READ));
}

}  // namespace
}  // namespace kqtest
