// SPDX-License-Identifier: BSD-2-Clause
// What this build lacks. A missing filter refuses EV_ADD with ENOSYS. A missing bit of
// fflags that some native kernel serves is refused with ENOTSUP (2.2 as amended). Each refusal is
// reported on stderr once. What is implemented later leaves this file.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "support/kq.h"
#include "support/library.h"

namespace kqtest {
namespace {

struct MissingFilter {
    const char* name;
    int number;
    friend std::ostream& operator<<(std::ostream& out, const MissingFilter& f) {
        return out << f.name;
    }
};

// The filters by number, because a name is defined only where the filter is served.
constexpr int kEmpty = -13;
constexpr int kProcdesc = -14;
constexpr int kExcept = -15;
constexpr MissingFilter kMissing[] = {
    {"AIO", -3},       {"NETDEV", -8},          {"FS", EVFILT_FS},  {"LIO", -10},
    {"EMPTY", kEmpty}, {"PROCDESC", kProcdesc}, {"EXCEPT", kExcept}};

bool is_missing(const MissingFilter& filter) {
    const int n = filter.number;
    if (n == EVFILT_FS || n == kProcdesc) return !on_linux();
    if (n == kEmpty) return backend() == "solaris" || backend() == "windows";
    return n != kExcept || backend() == "windows";
}

// A file without a name: a death test ends without destructors, and must leave nothing behind.
Fd unnamed_file() {
    TempFile file;
    return std::move(file.fd);
}

// An EV_ADD with an ident that is valid for this filter.
Event add(int filter, int file) {
    switch (filter) {
        default:
            return change(file, filter, EV_ADD, 1, 1);
    }
}

// Matches standard error that has that many lines with the mark, and these words in them.
class SaysUnimplemented {
  public:
    using is_gtest_matcher = void;
    explicit SaysUnimplemented(int lines, std::vector<std::string> words = {})
        : lines_(lines), words_(std::move(words)) {}
    bool MatchAndExplain(const std::string& text, std::ostream*) const {
        static const std::string kMark = "FIXME -- UNIMPLEMENTED";
        int found = 0;
        for (size_t at = 0; at < text.size();) {
            const size_t end = std::min(text.find('\n', at), text.size());
            const std::string line = text.substr(at, end - at);
            found += line.find(kMark) != std::string::npos;
            for (const std::string& word : words_)
                if (line.find(word) == std::string::npos) return false;
            at = end + 1;
        }
        return found == lines_;
    }
    void DescribeTo(std::ostream* out) const { *out << "has " << lines_ << " lines with the mark"; }
    void DescribeNegationTo(std::ostream* out) const { *out << "has another number of them"; }

  private:
    int lines_;
    std::vector<std::string> words_;
};

class Missing : public KqTest, public testing::WithParamInterface<MissingFilter> {
  protected:
    // Each death test starts a new program, which has printed nothing before.
    Missing() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    void SetUp() override {
        if (!is_missing(GetParam())) GTEST_SKIP() << "is served";
    }
    int filter() const { return GetParam().number; }

    Queue q;
    const Fd open_file = unnamed_file();
    const int file = *open_file;
};

INSTANTIATE_TEST_SUITE_P(Filter, Missing, testing::ValuesIn(kMissing),
                         [](const testing::TestParamInfo<MissingFilter>& test) {
                             return std::string(test.param.name);
                         });

TEST_P(Missing, R40_IsRefusedWithEnosys) {
    const Event c = add(filter(), file);
    expect_failed(q.call({c}, 0, kForever), ENOSYS);
    expect_answers(q.call({c}, 1, kForever), {{c, ENOSYS}});
    Event disabled = c;
    disabled.flags |= EV_DISABLE;
    expect_failed(q.call({disabled}, 0, kForever), ENOSYS);
}

TEST_P(Missing, R40_NoKnoteIsMade) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    Event c = add(filter(), file);
    EXPECT_EQ(q.apply(c), ENOSYS);
    for (const int flags : {EV_DELETE, EV_ENABLE, EV_DISABLE, 0}) {
        c.flags = static_cast<unsigned short>(flags);
        EXPECT_EQ(q.apply(c), ENOENT) << to_string(c);
    }
    write_bytes(file, 3);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_silent(q);
}

TEST_P(Missing, R40_SaysSoOnce) {
    EXPECT_EXIT(
        {
            const Queue other;
            for (int i = 0; i < 3; i++)
                if (q.apply(add(filter(), file)) != ENOSYS ||
                    other.apply(add(filter(), file)) != ENOSYS)
                    ::exit(1);
            ::exit(0);
        },
        testing::ExitedWithCode(0), SaysUnimplemented(1));
}

TEST_P(Missing, R40_SaysNothingWhenNothingIsAdded) {
    EXPECT_EXIT(
        {
            Event c = add(filter(), file);
            c.flags = EV_DELETE;
            ::exit(q.apply(c) == ENOENT ? 0 : 1);
        },
        testing::ExitedWithCode(0), SaysUnimplemented(0));
}

class MissingFilters : public KqTest {};

TEST_F(MissingFilters, R40_EveryOneSpeaksForItself) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const Queue q;
    const Fd open_file = unnamed_file();
    const int file = *open_file;
    EXPECT_EXIT(
        {
            for (int i = 0; i < 2; i++)
                for (const MissingFilter& f : kMissing)
                    if (is_missing(f)) q.apply(add(f.number, file));
            ::exit(0);
        },
        testing::ExitedWithCode(0),
        SaysUnimplemented(
            static_cast<int>(std::count_if(std::begin(kMissing), std::end(kMissing), is_missing))));
}

// ---- bits of fflags ----

struct MissingNote {
    const char* name;
    int filter;
    unsigned bit;
    unsigned served;  // something that can be asked for
    friend std::ostream& operator<<(std::ostream& out, const MissingNote& note) {
        return out << note.name;
    }
};

constexpr MissingNote kMissingNotes[] = {
    {"FILE_POLL", EVFILT_READ, 0x2, 0},
    {"EXIT_DETAIL", EVFILT_PROC, 0x02000000, NOTE_EXIT},
    {"SIGNAL", EVFILT_PROC, 0x08000000, NOTE_EXIT},
    {"REAP", EVFILT_PROC, 0x10000000, NOTE_EXIT},
};

class MissingNotes : public KqTest, public testing::WithParamInterface<MissingNote> {
  protected:
    MissingNotes() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    static Event with(unsigned fflags, int flags = EV_ADD) {
        const int ident = GetParam().filter == EVFILT_PROC ? ::getpid() : STDOUT_FILENO;
        return change(ident, GetParam().filter, flags, fflags);
    }
    const unsigned bit = GetParam().bit;
    const unsigned served = GetParam().served;
    Queue q;
};

INSTANTIATE_TEST_SUITE_P(Note, MissingNotes, testing::ValuesIn(kMissingNotes),
                         [](const testing::TestParamInfo<MissingNote>& test) {
                             return std::string(test.param.name);
                         });

TEST_P(MissingNotes, S22_IsRefusedAndNoKnoteIsMade) {
    for (const unsigned fflags : {bit, bit | served, ~0u}) {
        const Event c = with(fflags);
        expect_failed(q.call({c}, 0, &kAtOnce), ENOTSUP);
        expect_answers(q.call({c}, 1, &kAtOnce), {{c, ENOTSUP}});
        EXPECT_EQ(q.apply(with(fflags, EV_ADD | EV_DISABLE)), ENOTSUP);
        EXPECT_EQ(q.apply(with(0, EV_DELETE)), ENOENT);
    }
}

TEST_P(MissingNotes, S22_AKnoteStaysAsItIsWhenAChangeIsRefused) {
    ASSERT_EQ(q.apply(with(served, EV_ADD | EV_DISABLE)), 0);
    for (const int flags : {EV_ADD, EV_ADD | EV_ENABLE, 0})
        EXPECT_EQ(q.apply(with(bit, flags)), ENOTSUP) << flags;
    // Without EV_ADD these leave fflags alone, so there is nothing to refuse.
    EXPECT_EQ(q.apply(with(bit, EV_DISABLE)), 0);
    expect_none(q.collect());
    EXPECT_EQ(q.apply(with(0, EV_DELETE)), 0);
}

TEST_P(MissingNotes, S22_SaysSoOnceAndNamesTheBit) {
    char number[16];
    (void)snprintf(number, sizeof number, "0x%x ", bit);
    EXPECT_EXIT(
        {
            const Queue other;
            for (int i = 0; i < 3; i++)
                if (q.apply(with(bit)) != ENOTSUP || other.apply(with(bit)) != ENOTSUP) ::exit(1);
            ::exit(0);
        },
        testing::ExitedWithCode(0),
        SaysUnimplemented(1, {number, std::string("NOTE_") + GetParam().name}));
}

// The system has no such clock, or no call that waits for it.
TEST_F(MissingFilters, S59_AClockThatGoesOnInASuspendedMachine) {
    if (on_linux()) GTEST_SKIP() << "is served";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const Queue q;
    EXPECT_EXIT(
        {
            for (int i = 0; i < 3; i++)
                if (q.apply(change(1, EVFILT_TIMER, EV_ADD, 0x80, 1)) != ENOTSUP) ::exit(1);
            ::exit(0);
        },
        testing::ExitedWithCode(0), SaysUnimplemented(1, {"NOTE_MACH_CONTINUOUS_TIME"}));
}

}  // namespace
}  // namespace kqtest
