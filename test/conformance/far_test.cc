// SPDX-License-Identifier: BSD-2-Clause
// Descriptors with high numbers. A kqueue that watches them prefetches what it knows of them
// (Kqueue::expect() in src/scan.h). The events must be those of low numbers, in the same order.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tuple>

#include "support/kq.h"
#include "support/library.h"
#include "support/limit.h"

namespace kqtest {
namespace {

constexpr int kFar = 5'000;  // beyond Kqueue::kTooManyForCaches

// Pipes, with knotes of all modes on their read ends. These have numbers from kFar on, or low ones.
class Sources {
  public:
    static constexpr int kCount = 12;

    explicit Sources(bool far) {
        for (int i = 0; i < kCount; i++) {
            pipes_.push_back(make_pipe());
            if (far) pipes_.back().read = Fd(::fcntl(*pipes_.back().read, F_DUPFD_CLOEXEC, kFar));
        }
    }
    bool made() const { return *pipes_.back().read >= 0; }
    void add(const Queue& q) const {
        for (size_t i = 0; i < kCount; i++) {
            const int number = *pipes_[i].read;
            ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | kModes[i % std::size(kModes)])),
                      0);
        }
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    }
    void write(size_t i, size_t bytes) const { write_bytes(*pipes_[i].write, bytes); }
    void hang_up(size_t i) { pipes_[i].write.reset(); }
    // Closes the number. The file stays open, so the kernel continues to report it.
    Fd close(size_t i) {
        Fd kept(::fcntl(*pipes_[i].read, F_DUPFD_CLOEXEC, 0));
        pipes_[i].read.reset();
        return kept;
    }
    int number(size_t i) const { return *pipes_[i].read; }
    // For each event: the index of its pipe, and what the event says.
    std::vector<std::tuple<size_t, int, int, intptr_t>> named(const std::vector<Event>& events) {
        std::vector<std::tuple<size_t, int, int, intptr_t>> found;
        for (const Event& event : events) {
            size_t i = 0;
            while (i < kCount && static_cast<uintptr_t>(number(i)) != event.ident)
                i++;
            found.emplace_back(event.filter == EVFILT_READ ? i : kCount, event.filter, event.flags,
                               event.data);
        }
        return found;
    }

  private:
    static constexpr int kModes[] = {0, 0, EV_CLEAR, EV_DISPATCH, EV_ONESHOT};
    std::vector<Pipe> pipes_;
};

using Said = std::vector<std::vector<std::tuple<size_t, int, int, intptr_t>>>;

// Runs one program. Returns all events that it gets.
Said run(Sources& sources, const Queue& q) {
    Said said;
    const auto collect = [&](int room) { said.push_back(sources.named(q.collect(room))); };
    sources.add(q);
    for (const size_t i : {7U, 3U, 0U, 9U, 4U, 1U, 2U, 5U})
        sources.write(i, i + 1);
    collect(64);  // from here on the library knows what kind of file each is
    collect(64);
    for (const size_t i : {11U, 2U, 6U, 3U, 8U, 10U})
        sources.write(i, 2);
    for (int i = 0; i < 4; i++)
        collect(3);
    EXPECT_EQ(q.apply(change(sources.number(1), EVFILT_READ, EV_DISABLE)), 0);
    EXPECT_EQ(q.apply(change(sources.number(3), EVFILT_READ, EV_ENABLE)), 0);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    sources.hang_up(5);
    sources.hang_up(0);
    for (const int room : {64, 5, 5, 64})
        collect(room);
    const Fd kept = sources.close(6);
    for (const int room : {64, 2, 64})
        collect(room);
    return said;
}

TEST(Far, R47_EventsAreThoseOfLowNumbersInTheirOrder) {
    if (!on_linux()) GTEST_SKIP() << "there each report is taken in before the first is delivered";
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const DescriptorLimit raised(limit.rlim_max);
    Sources far(true);
    if (!far.made()) GTEST_SKIP() << "numbers beyond " << kFar << " are not allowed here";
    Sources near(false);
    const Queue first;
    const Said expected = run(near, first);
    const Queue second;
    const Said said = run(far, second);
    ASSERT_EQ(said.size(), expected.size());
    EXPECT_GE(expected.front().size(), 8U);
    for (size_t i = 0; i < said.size(); i++)
        EXPECT_EQ(said[i], expected[i]) << "call " << i;
}

}  // namespace
}  // namespace kqtest
