// SPDX-License-Identifier: BSD-2-Clause
// EV_UDATA_SPECIFIC: several knotes for one direction of a descriptor, each with its own mode:
// EV_CLEAR, EV_ONESHOT, EV_DISPATCH or none (semantics 3.7).
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/source.h"
#include "support/specific.h"

#ifdef EV_UDATA_SPECIFIC

namespace kqtest {
namespace {

struct Nature {
    const char* name;
    int flags;
};
constexpr Nature kNatures[] = {
    {"Level", 0}, {"Clear", EV_CLEAR}, {"Oneshot", EV_ONESHOT}, {"Dispatch", EV_DISPATCH}};

struct Two {
    SourceKind kind;
    Nature first;
    Nature second;
};
std::string name_of(const testing::TestParamInfo<Two>& info) {
    return std::string(info.param.kind.name) + info.param.first.name + info.param.second.name;
}
void PrintTo(const Two& two, std::ostream* out) {
    *out << two.kind.name << two.first.name << two.second.name;
}
std::vector<Two> all_pairs() {
    std::vector<Two> all;
    for (const SourceKind& kind : level_sources())
        for (const Nature& first : kNatures)
            for (const Nature& second : kNatures)
                all.push_back({kind, first, second});
    return all;
}

// P-EDGE: whether all that came beyond these are edges that are told again. Then the test is
// skipped.
bool skipped_beyond(std::vector<Event> events, const Tags& expected) {
    for (const uintptr_t which : expected) {
        const auto found = std::find_if(events.begin(), events.end(),
                                        [which](const Event& e) { return e.udata == tag(which); });
        if (found == events.end()) return false;
        events.erase(found);
    }
    return skipped_edges_told_again(events);
}

// Two knotes for one direction of a descriptor, each with its own mode.
class SpecificPair : public KqTest, public testing::WithParamInterface<Two> {
  protected:
    int flags_of(uintptr_t which) const {
        return (which == 1 ? GetParam().first : GetParam().second).flags;
    }
    // Which of the two knotes have this flag. 0: which have no mode, so that they report by level.
    Tags with(int flag) const {
        Tags all;
        for (const uintptr_t which : {1u, 2u})
            if (flag == 0 ? flags_of(which) == 0 : (flags_of(which) & flag) != 0)
                all.push_back(which);
        return all;
    }
    static Tags together(Tags one, const Tags& other) {
        one.insert(one.end(), other.begin(), other.end());
        std::sort(one.begin(), one.end());
        return one;
    }
    Event of(uintptr_t which, int flags) const {
        return source->change(flags | kSpecific, tag(which));
    }
    int add(uintptr_t which, int more = 0) const {
        return q.apply(of(which, EV_ADD | flags_of(which) | more));
    }
    // Exactly these knotes are reported, perhaps in several calls.
    void expect(const Tags& expected, int line = __builtin_LINE()) {
        const testing::ScopedTrace trace(__FILE__, line, "");
        const std::vector<Event> events =
            expected.empty() ? q.collect() : collect_all(q, expected.size());
        if (skipped_beyond(events, expected)) return;
        EXPECT_EQ(tags(events), expected);
        for (const Event& event : events) {
            const auto which = reinterpret_cast<uintptr_t>(event.udata);
            EXPECT_EQ(event.ident, static_cast<uintptr_t>(source->ident()));
            EXPECT_EQ(event.filter, source->filter());
            EXPECT_EQ(event.flags, EV_ADD | kSpecific | flags_of(which));
            if (const auto data = source->data()) {
                EXPECT_EQ(event.data, *data);
            }
        }
    }
    // Enables the knotes with EV_DISPATCH. They are reported, and also the knotes by level.
    void enable_dispatched() {
        const Tags dispatched = with(EV_DISPATCH);
        for (const uintptr_t which : dispatched)
            ASSERT_EQ(q.apply(of(which, EV_ENABLE)), 0);
        expect(together(dispatched, with(0)));
    }

    std::unique_ptr<Source> source = GetParam().kind.make();
    Queue q;
};

TEST_P(SpecificPair, R336_EachIsReportedInItsOwnWay) {
    ASSERT_EQ(add(1), 0);
    ASSERT_EQ(add(2), 0);
    expect({});
    source->ready();
    expect({1, 2});
    expect(with(0));
    expect(with(0));
    enable_dispatched();
    source->idle();
    expect({});
    // Once more: now the one-shot knotes are gone, and those with EV_DISPATCH are disabled.
    source->ready();
    expect(together(with(0), with(EV_CLEAR)));
    enable_dispatched();
    for (const uintptr_t which : {1u, 2u})
        EXPECT_EQ(q.apply(of(which, kRemove)), (flags_of(which) & EV_ONESHOT) != 0 ? ENOENT : 0);
    expect({});
}

// The second knote is added after the first one has reported.
TEST_P(SpecificPair, R336_ALaterOneSeesWhatIsThere) {
    source->ready();
    ASSERT_EQ(add(1), 0);
    expect({1});
    ASSERT_EQ(add(2), 0);
    expect(together(Tags{2}, flags_of(1) == 0 ? Tags{1} : Tags{}));
    source->idle();
    expect({});
}

TEST_P(SpecificPair, R336_OneGoesAndTheOtherStays) {
    for (const uintptr_t leaver : {1u, 2u}) {
        const uintptr_t other = 3 - leaver;
        source->idle();
        ASSERT_EQ(add(1), 0);
        ASSERT_EQ(add(2), 0);
        expect({});
        ASSERT_EQ(q.apply(of(leaver, kRemove)), 0);
        source->ready();
        expect({other});
        expect(flags_of(other) == 0 ? Tags{other} : Tags{});
        const bool gone = (flags_of(other) & EV_ONESHOT) != 0;
        EXPECT_EQ(q.apply(of(other, kRemove)), gone ? ENOENT : 0);
    }
}

// Deleting one knote gives no event to the other.
TEST_P(SpecificPair, R336_OneGoesAfterBothWereReported) {
    ASSERT_EQ(add(1), 0);
    ASSERT_EQ(add(2), 0);
    source->ready();
    expect({1, 2});
    if ((flags_of(1) & EV_ONESHOT) == 0) {
        ASSERT_EQ(q.apply(of(1, kRemove)), 0);
    }
    expect(flags_of(2) == 0 ? Tags{2} : Tags{});
    source->idle();
    source->ready();
    const bool comes = (flags_of(2) & (EV_ONESHOT | EV_DISPATCH)) == 0;
    expect(comes ? Tags{2} : Tags{});
    expect(flags_of(2) == 0 ? Tags{2} : Tags{});
}

TEST_P(SpecificPair, R336_ADisabledOneBesideIt) {
    ASSERT_EQ(add(1), 0);
    ASSERT_EQ(add(2, EV_DISABLE), 0);
    expect({});
    source->ready();
    expect({1});
    expect(flags_of(1) == 0 ? Tags{1} : Tags{});
    ASSERT_EQ(q.apply(of(2, EV_ENABLE)), 0);
    expect(together(Tags{2}, flags_of(1) == 0 ? Tags{1} : Tags{}));
    source->idle();
    expect({});
    if ((flags_of(1) & EV_ONESHOT) == 0) {
        ASSERT_EQ(q.apply(of(1, EV_DISABLE)), 0);
    }
    source->ready();
    const bool comes = (flags_of(2) & (EV_ONESHOT | EV_DISPATCH)) == 0;
    expect(comes ? Tags{2} : Tags{});
}

// A knote without EV_UDATA_SPECIFIC is the third.
TEST_P(SpecificPair, R336_BesideAPlainKnote) {
    ASSERT_EQ(add(1), 0);
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR, tag(9))), 0);
    ASSERT_EQ(add(2), 0);
    source->ready();
    EXPECT_EQ(tags(collect_all(q, 3)), (Tags{1, 2, 9}));
    ASSERT_EQ(q.apply(source->change(EV_DELETE)), 0);
    expect(with(0));
    enable_dispatched();
    source->idle();
    expect({});
}

INSTANTIATE_TEST_SUITE_P(Of, SpecificPair, testing::ValuesIn(all_pairs()), name_of);

TEST_F(Specific, R336_ReadAndWriteOfOneSocketInManyWays) {
    const Pair pair = make_socketpair(SOCK_STREAM);
    uintptr_t number = 0;
    for (const Nature& nature : kNatures)
        for (const int filter : {EVFILT_READ, EVFILT_WRITE})
            ASSERT_EQ(q.apply(change(*pair.first, filter, EV_ADD | nature.flags | kSpecific, 0, 0,
                                     tag(++number))),
                      0);
    const auto expect = [](const std::vector<Event>& events, const Tags& expected) {
        if (skipped_beyond(events, expected)) return;
        EXPECT_EQ(tags(events), expected);
    };
    expect(collect_all(q, 4), {2, 4, 6, 8});
    write_bytes(*pair.second, 1);
    // The knotes of EVFILT_WRITE by level are reported each time.
    expect(collect_all(q, 5), {1, 2, 3, 5, 7});
    expect(q.collect(), {1, 2});
    read_bytes(*pair.first, 1);
    expect(q.collect(), {2});
}

TEST_F(Specific, R336_LowWaterMarks) {
    const Pipe p = make_pipe();
    const auto mark = [&p](intptr_t bytes) {
        return change(*p.read, EVFILT_READ, EV_ADD | kSpecific, NOTE_LOWAT, bytes, tag(bytes));
    };
    ASSERT_EQ(q.apply(mark(1), mark(4), mark(8)), 0);
    write_bytes(*p.write, 5);
    EXPECT_EQ(tags(collect_all(q, 2)), (Tags{1, 4}));
    write_bytes(*p.write, 5);
    EXPECT_EQ(tags(collect_all(q, 3)), (Tags{1, 4, 8}));
    read_bytes(*p.read, 10);
    expect_none(q.collect());
}

TEST_F(Specific, R336_PollSeesWhatIsLeft) {
    const Pipe p = make_pipe();
    const auto read = [&p](int flags, uintptr_t udata) {
        return change(*p.read, EVFILT_READ, flags | kSpecific, 0, 0, tag(udata));
    };
    ASSERT_EQ(q.apply(read(EV_ADD, 1), read(EV_ADD | EV_CLEAR, 2)), 0);
    write_bytes(*p.write, 1);
    EXPECT_TRUE(q.wait_until_readable());
    EXPECT_EQ(q.collect(1).size(), 1u);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(q.collect(1).size(), 1u);
    EXPECT_TRUE(q.readable());  // by level
    read_bytes(*p.read, 1);
    expect_none(q.collect());
    EXPECT_FALSE(q.readable());
}

}  // namespace
}  // namespace kqtest

#endif
