// SPDX-License-Identifier: BSD-2-Clause
// What a knote costs in heap: the limits, at 9,000 and at 200,000 knotes.
//
// Counted with mallinfo2() over EV_ADD alone, so it is all that the library took for them: the
// knotes, what finds them by number, and the room its arrays and tables keep in reserve. What the
// kernel keeps for its side (an epoll item) is not heap and not counted.
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include "support/gaps.h"
#include "support/kq.h"

namespace kqtest {
namespace {

constexpr int kBatch = 512;  // changes in one call: the list itself must not count
// Where the library keeps the interest itself, an entry for poll() and what is known of it, and
// reserves for as much again: POSIX and Solaris.
int read_limit() {
    return on_linux() ? 145 : 352;
}
constexpr int kTimerLimit = 128;
constexpr int kUserLimit = 90;

size_t heap_in_use() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

// Bytes of heap for each of `count` knotes made by `fill`, which sets the i-th change.
template <class Fill>
double heap_per_knote(const Queue& q, int count, Fill fill) {
    std::vector<Event> changes(kBatch);
    const size_t before = heap_in_use();
    for (int done = 0; done < count;) {
        const int batch = std::min(kBatch, count - done);
        for (int i = 0; i < batch; i++)
            fill(done + i, changes[static_cast<size_t>(i)]);
        EXPECT_EQ(::kevent(q.fd(), changes.data(), batch, nullptr, 0, nullptr), 0)
            << std::strerror(errno);
        done += batch;
    }
    return static_cast<double>(heap_in_use() - before) / count;
}

void expect_within(double bytes, int limit, int count) {
    testing::Test::RecordProperty("bytes_per_knote", std::to_string(bytes));
    std::cout << "heap: " << bytes << " bytes a knote, " << count << " knotes\n";
    EXPECT_LE(bytes, limit) << "at " << count << " knotes";
    EXPECT_GE(bytes, 16) << "no knote is that small: the measure does not see the library's heap";
}

// Raises the limit of open files for as long as it lives; false if this process may not.
class RaisedFileLimit {
  public:
    explicit RaisedFileLimit(rlim_t wanted) {
        ::getrlimit(RLIMIT_NOFILE, &saved_);
        const rlimit raised{std::max(wanted, saved_.rlim_cur), std::max(wanted, saved_.rlim_max)};
        raised_ = ::setrlimit(RLIMIT_NOFILE, &raised) == 0;
    }
    RaisedFileLimit(const RaisedFileLimit&) = delete;
    ~RaisedFileLimit() {
        if (raised_) ::setrlimit(RLIMIT_NOFILE, &saved_);
    }
    explicit operator bool() const { return raised_; }

  private:
    rlimit saved_{};
    bool raised_;
};

// The read end of one pipe under `count` numbers, every second one of a range. The library keeps
// for each number what it would for a pipe of its own; the kernel has one pipe to make, not
// 200,000.
class ReadEnds {
  public:
    explicit ReadEnds(int count) {
        fds_.reserve(static_cast<size_t>(count));
        for (int i = 0; i < count; i++) {
            fds_.push_back(::fcntl(*pipe_.read, F_DUPFD_CLOEXEC, kFirst + 2 * i));
            if (fds_.back() != kFirst + 2 * i) ADD_FAILURE() << std::strerror(errno);
        }
    }
    ReadEnds(const ReadEnds&) = delete;
    ~ReadEnds() {
        for (const int fd : fds_)
            ::close(fd);
    }
    int operator[](int i) const { return fds_[static_cast<size_t>(i)]; }

    static constexpr int kFirst = 64;  // above what else is open

  private:
    Pipe pipe_ = make_pipe();
    std::vector<int> fds_;
};

class Memory : public testing::TestWithParam<int> {};

TEST_P(Memory, OfAReadKnote) {
    const int count = GetParam();
    const RaisedFileLimit limit(static_cast<rlim_t>(ReadEnds::kFirst + 2 * count + 64));
    if (!limit) GTEST_SKIP() << "may not have " << 2 * count << " descriptors: RLIMIT_NOFILE";
    const ReadEnds ends(count);
    const Queue q;
    const double bytes = heap_per_knote(
        q, count, [&ends](int i, Event& event) { event = change(ends[i], EVFILT_READ, EV_ADD); });
    expect_within(bytes, read_limit(), count);
}

TEST_P(Memory, OfATimerKnote) {
    const Queue q;
    const double bytes = heap_per_knote(q, GetParam(), [](int i, Event& event) {
        event = change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_SECONDS, 100'000 - i % 1000);
    });
    expect_within(bytes, kTimerLimit, GetParam());
}

TEST_P(Memory, OfAUserKnote) {
    const Queue q;
    const double bytes = heap_per_knote(q, GetParam(), [](int i, Event& event) {
        event = change(i, EVFILT_USER, EV_ADD | EV_CLEAR);
    });
    expect_within(bytes, kUserLimit, GetParam());
}

INSTANTIATE_TEST_SUITE_P(At, Memory, testing::Values(9'000, 200'000),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace kqtest
