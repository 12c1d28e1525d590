// SPDX-License-Identifier: BSD-2-Clause
// Does the model notice faults? Here the library lies about one thing. The model must find that
// soon, and the program that shows it must be short.
#include <gtest/gtest.h>
#include <sys/event.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "model/player.h"
#include "model/real.h"

namespace kqmodel {
namespace {

struct Lie {
    const char* name;
    void (*tell)(Outcome& outcome, const Step& call);
    bool (*readable)(bool truth) = [](bool truth) { return truth; };
};

// An event of this filter, or null.
Entry* find(Outcome& outcome, int filter) {
    const auto at =
        std::find_if(outcome.entries.begin(), outcome.entries.end(), [filter](const Entry& entry) {
            return entry.filter == filter && (entry.flags & EV_ERROR) == 0;
        });
    return at == outcome.entries.end() ? nullptr : &*at;
}

void drop(Outcome& outcome, int filter) {
    const Entry* event = find(outcome, filter);
    if (event == nullptr) return;
    outcome.entries.erase(outcome.entries.begin() + (event - outcome.entries.data()));
    outcome.result--;
}

void swap_user(Outcome& outcome, const Step&) {
    Entry* first = find(outcome, EVFILT_USER);
    if (first == nullptr) return;
    for (Entry& other : outcome.entries)
        if (other.filter == EVFILT_USER && &other != first) return std::swap(*first, other);
}

template <auto Member, int Filter>
void spoil(Outcome& outcome, const Step&) {
    if (Entry* event = find(outcome, Filter)) event->*Member ^= 2;
}

template <int From, int To>
void rename_error(Outcome& outcome, const Step&) {
    if (outcome.error == From) outcome.error = To;
    for (Entry& entry : outcome.entries)
        if ((entry.flags & EV_ERROR) != 0 && entry.data == From) entry.data = To;
}

void forget_receipts(Outcome& outcome, const Step&) {
    outcome.result -= static_cast<int>(std::erase_if(outcome.entries, [](const Entry& entry) {
        return (entry.flags & EV_ERROR) != 0 && entry.data == 0;
    }));
}

void say_again(Outcome& outcome, const Step& call) {
    if (outcome.result < 1 || outcome.result >= call.room) return;
    if ((outcome.entries.back().flags & EV_ERROR) != 0) return;
    outcome.entries.push_back(outcome.entries.back());
    outcome.result++;
}

// An event that the library did not report.
void invent(Outcome& outcome, const Step& call) {
    if (outcome.result != 0 || call.room == 0) return;
    outcome.entries.push_back({EVFILT_USER, 1, EV_ADD | EV_CLEAR, 0, 0, 0});
    outcome.result = 1;
}

void drop_edge(Outcome& outcome, const Step& call) {
    const Entry* event = find(outcome, EVFILT_READ);
    if (event != nullptr && (event->flags & EV_CLEAR) != 0 && call.room > 1)
        drop(outcome, EVFILT_READ);
}

// The event of an EV_CLEAR knote that the last call reported, if nothing was changed since.
struct Edge {
    Entry event;
    int queue;
};
std::optional<Edge> last_edge;

void repeat_edge(Outcome& outcome, const Step& call) {
    if (!call.changes.empty()) last_edge.reset();
    if (outcome.result == 0 && call.room > 0 && last_edge && last_edge->queue == call.queue) {
        outcome.entries.push_back(last_edge->event);
        outcome.result = 1;
        return;
    }
    last_edge.reset();
    const Entry* event = find(outcome, EVFILT_READ);
    if (event == nullptr || event->ident >= kSlots) return;
    if ((event->flags & (EV_CLEAR | EV_ONESHOT | EV_DISPATCH)) == EV_CLEAR)
        last_edge = Edge{*event, call.queue};
}

// Only where nothing is left to read: otherwise P-EOF may allow to hide the end.
void hide_end(Outcome& outcome, const Step&) {
    for (Entry& entry : outcome.entries)
        if (entry.filter == EVFILT_READ && entry.data == 0) entry.flags &= ~unsigned{EV_EOF};
}

constexpr auto honest = [](Outcome&, const Step&) {};

constexpr Lie kLies[] = {
    {"LosesRead", [](Outcome& outcome, const Step&) { drop(outcome, EVFILT_READ); }},
    {"LosesWrite", [](Outcome& outcome, const Step&) { drop(outcome, EVFILT_WRITE); }},
    {"LosesExcept", [](Outcome& outcome, const Step&) { drop(outcome, kExcept); }},
    {"LosesEmpty", [](Outcome& outcome, const Step&) { drop(outcome, kEmpty); }},
    {"WrongExceptFflags", spoil<&Entry::fflags, kExcept>},
    {"WrongEmptyFlags", spoil<&Entry::flags, kEmpty>},
    {"LosesUser", [](Outcome& outcome, const Step&) { drop(outcome, EVFILT_USER); }},
    {"LosesTimer", [](Outcome& outcome, const Step&) { drop(outcome, EVFILT_TIMER); }},
    {"SaysAgain", say_again},
    {"Invents", invent},
    {"Misorders", swap_user},
    {"WrongReadData", spoil<&Entry::data, EVFILT_READ>},
    {"WrongUserData", spoil<&Entry::data, EVFILT_USER>},
    {"WrongFflags", spoil<&Entry::fflags, EVFILT_WRITE>},
    {"WrongUserFflags", spoil<&Entry::fflags, EVFILT_USER>},
    {"WrongFlags", spoil<&Entry::flags, EVFILT_READ>},
    {"WrongUdata", spoil<&Entry::tag, EVFILT_WRITE>},
    {"WrongErrno", rename_error<ENOENT, EINVAL>},
    {"WrongErrnoOfClosed", rename_error<EBADF, ENOENT>},
    {"LosesAnEdge", drop_edge},
    {"RepeatsAnEdge", repeat_edge},
    {"HidesTheEnd", hide_end},
    {"WrongWriteData", spoil<&Entry::data, EVFILT_WRITE>},
    {"NoReceipts", forget_receipts},
    {"PollIsBlind", honest, [](bool) { return false; }},
    {"PollIsNervous", honest, [](bool) { return true; }},
};

// The library, with one lie in its answers.
class Liar : public Subject {
  public:
    explicit Liar(const Lie& lie) : lie_(lie), real_(make_real()) { last_edge.reset(); }

    Outcome kevent(const Step& call, Wait wait) override {
        Outcome outcome = real_->kevent(call, wait);
        lie_.tell(outcome, call);
        return outcome;
    }
    bool readable(int queue) override { return lie_.readable(real_->readable(queue)); }
    void renew(int queue) override {
        last_edge.reset();
        real_->renew(queue);
    }
    Now now() override { return real_->now(); }
    void advance(Nanos by) override { real_->advance(by); }
    void open(Kind kind, int a, int b) override {
        last_edge.reset();
        real_->open(kind, a, b);
    }
    void close(int slot) override {
        last_edge.reset();
        real_->close(slot);
    }
    void dup(int from, int to) override {
        last_edge.reset();
        real_->dup(from, to);
    }
    void write(int slot, int64_t count) override {
        last_edge.reset();
        real_->write(slot, count);
    }
    void read(int slot, int64_t count) override {
        last_edge.reset();
        real_->read(slot, count);
    }
    int64_t fill(int slot) override {
        last_edge.reset();
        return real_->fill(slot);
    }
    void shut(int slot) override {
        last_edge.reset();
        real_->shut(slot);
    }
    void urge(int slot) override {
        last_edge.reset();
        real_->urge(slot);
    }
    void take(int slot) override {
        last_edge.reset();
        real_->take(slot);
    }

  private:
    const Lie& lie_;
    std::unique_ptr<Subject> real_;
};

class Sensitivity : public testing::TestWithParam<Lie> {};

TEST_P(Sensitivity, ALieIsFoundAndShrunk) {
    constexpr int kMost = 20'000;
    constexpr int kShort = 8;
    const Maker make = [] { return std::make_unique<Liar>(GetParam()); };
    const Traits traits = real_traits();
    if (traits.relaxed.no_poll && std::string_view(GetParam().name).starts_with("Poll"))
        GTEST_SKIP() << "the model does not ask poll(): BUGS.md, W-POLL";
    if (!traits.urgent &&
        std::string_view(GetParam().name).find("Except") != std::string_view::npos)
        GTEST_SKIP() << "EVFILT_EXCEPT is refused: BUGS.md, N-FILTERS";
    if (!traits.unsent && std::string_view(GetParam().name).find("Empty") != std::string_view::npos)
        GTEST_SKIP() << "EVFILT_EMPTY is refused: BUGS.md, N-FILTERS";
    Statistics statistics;
    for (uint64_t seed = 1; statistics.operations < kMost; seed++) {
        Choices choices(seed);
        const Program program = make_program(choices, traits, 200);
        if (!play(program, traits, make, statistics)) continue;
        const Program smaller = shrink(program, traits, make);
        EXPECT_LE(smaller.size(), size_t{kShort}) << to_string(smaller);
        EXPECT_TRUE(play(smaller, traits, make, statistics)) << to_string(smaller);
        printf("after %ld operations, by\n%s", statistics.operations, to_string(smaller).c_str());
        return;
    }
    FAIL() << "not found in " << statistics.operations << " operations";
}

INSTANTIATE_TEST_SUITE_P(, Sensitivity, testing::ValuesIn(kLies),
                         [](const testing::TestParamInfo<Lie>& lie) { return lie.param.name; });

}  // namespace
}  // namespace kqmodel
