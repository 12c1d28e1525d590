// Filters that this build lacks: R-40. They refuse EV_ADD with ENOSYS, and say so on stderr, once.
// A filter that comes leaves this file.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>
#include <string>
#include <utility>

#include "support/kq.h"

namespace kqtest {
namespace {

struct MissingFilter {
    const char* name;
    int number;
    friend std::ostream& operator<<(std::ostream& out, const MissingFilter& f) {
        return out << f.name;
    }
};

constexpr MissingFilter kMissing[] = {{"VNODE", -4},  {"SIGNAL", -6}, {"AIO", -3},
                                      {"NETDEV", -8}, {"FS", -9},     {"LIO", -10}};

// Leaves nothing behind where a death test ends without destructors.
Fd unnamed_file() {
    TempFile file;
    return std::move(file.fd);
}

// Something that every one of them could take for an ident.
Event add(int filter, int file) {
    switch (filter) {
        case EVFILT_VNODE:
            return change(file, filter, EV_ADD | EV_CLEAR, NOTE_WRITE);
        case EVFILT_SIGNAL:
            return change(SIGUSR2, filter, EV_ADD);
        default:
            return change(file, filter, EV_ADD, 1, 1);
    }
}

// Matches standard error that has that many lines with the mark.
class SaysUnimplemented {
  public:
    using is_gtest_matcher = void;
    explicit SaysUnimplemented(int lines) : lines_(lines) {}
    bool MatchAndExplain(const std::string& text, std::ostream*) const {
        static const std::string kMark = "FIXME -- UNIMPLEMENTED";
        int found = 0;
        for (size_t at = 0; at < text.size();) {
            const size_t end = std::min(text.find('\n', at), text.size());
            found += text.substr(at, end - at).find(kMark) != std::string::npos;
            at = end + 1;
        }
        return found == lines_;
    }
    void DescribeTo(std::ostream* out) const { *out << "has " << lines_ << " lines with the mark"; }
    void DescribeNegationTo(std::ostream* out) const { *out << "has another number of them"; }

  private:
    int lines_;
};

class Missing : public KqTest, public testing::WithParamInterface<MissingFilter> {
  protected:
    // A new program for each death test: what was said before is not known to it.
    Missing() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
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
                    q.apply(add(f.number, file));
            ::exit(0);
        },
        testing::ExitedWithCode(0), SaysUnimplemented(static_cast<int>(std::size(kMissing))));
}

}  // namespace
}  // namespace kqtest
