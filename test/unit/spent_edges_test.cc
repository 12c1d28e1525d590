// SPDX-License-Identifier: BSD-2-Clause
// SpentEdges with a fake sampler: no edge is lost, and no edge is repeated more often than
// promised.
#include "spent_edges.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kq {
namespace {

using Key = std::pair<int, Direction>;

// Descriptors whose state the test sets, and what was asked for.
class SpentEdgesTest : public testing::Test {
  protected:
    static Handle handle_of(int fd) {
        return {Handle::Kind::descriptor, static_cast<uint32_t>(fd), 1};
    }
    void spend(int fd, Direction d, int64_t amount) {
        state_[{fd, d}] = {kReadable, amount};
        ASSERT_EQ(edges_.prepare(fd), Errno::ok);
        edges_.add(fd, d, handle_of(fd), state_[{fd, d}], now_);
    }
    std::vector<int> look(size_t most = 64) {
        std::vector<Wakeup> out(most);
        const size_t count = edges_.look(
            now_, out,
            [this](int fd, Direction d) {
                return state_.at({fd, d});
            },
            [this](int fd, Direction d) {
                armed_.insert({fd, d});
            },
            [this](int fd, Direction d) {
                gone_.insert({fd, d});
            });
        std::vector<int> fds;
        for (size_t i = 0; i < count; i++)
            fds.push_back(static_cast<int>(out[i].handle.index()));
        return fds;
    }

    SpentEdges edges_;
    std::map<Key, SpentEdges::Look> state_;
    std::set<Key> armed_;
    std::set<Key> gone_;
    Nanos now_ = kSecond;
};

constexpr Direction kRead = Direction::read;
constexpr Direction kWrite = Direction::write;

TEST_F(SpentEdgesTest, WhatIsNotTrueAnyMoreIsNoNews) {
    state_[{5, kRead}] = {kReadable | kHangup, 10};
    ASSERT_EQ(edges_.prepare(5), Errno::ok);
    edges_.add(5, kRead, handle_of(5), state_[{5, kRead}], now_);
    state_[{5, kRead}] = {kHangup, 0};
    EXPECT_TRUE(look().empty());
}

TEST_F(SpentEdgesTest, ReadyAfterAllWasReadIsTheEnd) {
    spend(5, kRead, 10);
    state_[{5, kRead}] = {kReadable, 4};
    EXPECT_TRUE(look().empty());
    state_[{5, kRead}] = {kReadable, 0};
    EXPECT_EQ(look(), std::vector{5});
    EXPECT_TRUE(look().empty());
}

TEST_F(SpentEdgesTest, ReadyWithTheSameIsNoNews) {
    spend(5, kRead, 10);
    EXPECT_TRUE(look().empty());
    now_ += SpentEdges::kFirstDelay / 2;
    EXPECT_TRUE(look().empty());
    EXPECT_TRUE(armed_.empty());
}

TEST_F(SpentEdgesTest, MoreIsNewsOnce) {
    spend(5, kRead, 10);
    state_[{5, kRead}].amount = 12;
    EXPECT_EQ(look(), std::vector<int>{5});
    EXPECT_TRUE(look().empty());
}

TEST_F(SpentEdgesTest, AnotherStateIsNews) {
    spend(5, kRead, 10);
    state_[{5, kRead}].ready |= kReadHangup;
    EXPECT_EQ(look(), std::vector<int>{5});
    EXPECT_TRUE(look().empty());
}

TEST_F(SpentEdgesTest, NotReadyIsArmedAgainAndForgotten) {
    spend(5, kRead, 10);
    spend(5, kWrite, 10);
    state_[{5, kRead}] = {0, 0};
    EXPECT_TRUE(look().empty());
    EXPECT_EQ(armed_, (std::set<Key>{{5, kRead}}));
    EXPECT_FALSE(edges_.remove(5, kRead));
    EXPECT_TRUE(edges_.remove(5, kWrite));
    EXPECT_TRUE(edges_.empty());
    EXPECT_EQ(edges_.next_look(), kForever);
}

TEST_F(SpentEdgesTest, AClosedOneIsGone) {
    spend(5, kRead, 10);
    state_[{5, kRead}] = {kClosed, 0};
    EXPECT_TRUE(look().empty());
    EXPECT_EQ(gone_, (std::set<Key>{{5, kRead}}));
    EXPECT_TRUE(edges_.empty());
}

// Something may have come and gone between two looks: it is reported again, ever more rarely.
TEST_F(SpentEdgesTest, WhatStaysReadyIsReportedAgainEverMoreRarely) {
    spend(5, kRead, 10);
    Nanos last = now_;
    Nanos longest = 0;
    for (int reports = 0; reports < 6; now_ += kMillisecond) {
        if (look().empty()) continue;
        reports++;
        EXPECT_GE(now_ - last, longest) << "report " << reports;
        longest = now_ - last;
        last = now_;
    }
    EXPECT_GE(longest, SpentEdges::kLongestDelay - kMillisecond);
    EXPECT_LE(longest, SpentEdges::kLongestDelay + 2 * kMillisecond);
}

TEST_F(SpentEdgesTest, LessThanBeforeIsSuspicious) {
    spend(5, kRead, 10);
    state_[{5, kRead}].amount = 4;
    EXPECT_TRUE(look().empty());
    now_ += SpentEdges::kSuspicion;
    EXPECT_EQ(look(), std::vector<int>{5});
    state_[{5, kRead}].amount = 5;  // more than there was
    EXPECT_EQ(look(), std::vector<int>{5});
}

TEST_F(SpentEdgesTest, LooksBecomeRareWhileNothingHappens) {
    spend(5, kRead, 10);
    EXPECT_EQ(edges_.next_look(), now_ + SpentEdges::kShortestLook);
    Nanos before = 0;
    for (int i = 0; i < 8; i++) {
        const Nanos period = edges_.next_look() - now_;
        EXPECT_GE(period, before);
        EXPECT_LE(period, SpentEdges::kLongestLook);
        before = period;
        now_ = edges_.next_look();
        if (!look().empty()) break;
    }
    state_[{5, kRead}].amount++;
    EXPECT_EQ(look(), std::vector<int>{5});
    EXPECT_EQ(edges_.next_look(), now_ + SpentEdges::kShortestLook);
}

// Where there is no room for all that is news, the next walk begins with those that had no turn.
TEST_F(SpentEdgesTest, AFullEventlistStarvesNone) {
    for (int fd = 3; fd < 10; fd++)
        spend(fd, kRead, 1);
    std::multiset<int> told;
    for (int round = 0; round < 7; round++) {
        for (auto& [key, look] : state_)
            look.amount++;
        for (const int fd : look(2))
            told.insert(fd);
    }
    for (int fd = 3; fd < 10; fd++)
        EXPECT_EQ(told.count(fd), 2u) << fd;
}

// Removal inside of the walk moves another edge to the place: each is looked at once in a walk.
TEST_F(SpentEdgesTest, EachIsLookedAtOnceInAWalkWhateverIsRemoved) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; round++) {
        SpentEdges edges;
        std::map<Key, int> looks;
        std::set<Key> ready;
        const int count = 1 + static_cast<int>(random() % 20);
        for (int fd = 0; fd < count; fd++)
            for (const Direction d : {kRead, kWrite}) {
                if (random() % 3 == 0) continue;
                ASSERT_EQ(edges.prepare(fd), Errno::ok);
                edges.add(fd, d, handle_of(fd), {kReadable, 1}, now_);
                looks[{fd, d}] = 0;
                if (random() % 2 == 0) ready.insert({fd, d});
            }
        std::set<Key> armed;
        std::vector<Wakeup> out(64);
        const size_t news = edges.look(
            now_, out,
            [&](int fd, Direction d) {
                looks.at({fd, d})++;
                const bool is = ready.count({fd, d}) != 0;
                return SpentEdges::Look{static_cast<uint16_t>(is ? kReadable : 0), is ? 1 : 0};
            },
            [&](int fd, Direction d) {
                armed.insert({fd, d});
            },
            [](int, Direction) { FAIL(); });
        EXPECT_EQ(news, 0u);
        for (const auto& [key, times] : looks) {
            EXPECT_EQ(times, 1) << key.first;
            EXPECT_NE(armed.count(key), ready.count(key)) << key.first;
            EXPECT_EQ(edges.remove(key.first, key.second), ready.count(key) != 0);
        }
        EXPECT_TRUE(edges.empty());
    }
}

}  // namespace
}  // namespace kq
