// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE accumulates notes (5.5, R-169 to R-197). Random batches of operations are done on
// files and directories that several descriptors in several kqueues watch. The events are compared
// with a model of the notes.
//
// A failure prints its seed and the operations. KQ_MODEL_SEED=n begins with that seed.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <random>
#include <sstream>

#include "support/gaps.h"
#include "support/scarce.h"
#include "support/vnode_forest.h"

namespace kqtest {
namespace {

struct Knote {
    size_t queue;
    Fd fd;
    VnodeNode* node;
    VnodeWindow window;
    VnodeReport report;
};

constexpr size_t kQueues = 3;

// One program: a forest, queues and knotes, and steps.
class Program {
  public:
    Program(uint64_t seed, bool shared) : forest_(seed) {
        const Fd root = open_file(forest_.tree().root(), O_RDONLY);
        const auto begin = [&root](const Queue& q) {
            // Tests that run beside this one may have all instances there are for a moment.
            int error = EMFILE;
            for (int i = 0; i < 200 && error == EMFILE; i++) {
                error = q.apply(change(*root, EVFILT_VNODE, EV_ADD, NOTE_REVOKE));
                if (error == EMFILE) ::usleep(50'000);
            }
            EXPECT_EQ(error, 0);
        };
        begin(queues_[0]);
        if (!shared) return;
        const NoDescriptors none;
        std::for_each(queues_ + 1, queues_ + kQueues, begin);
    }

    // What went wrong first, or "".
    std::string run(int steps) {
        for (int i = 0; i < steps && wrong_.empty(); i++)
            step();
        for (size_t q = 0; q < kQueues && wrong_.empty(); q++)
            collect(q);
        return wrong_.empty() ? "" : wrong_ + "\nafter" + forest_.story();
    }

  private:
    unsigned some_notes() {
        unsigned notes = 0;
        while (notes == 0)
            for (unsigned bit = 1; bit <= kAllNotes; bit <<= 1)
                if ((kAllNotes & bit) != 0 && forest_.pick(2) == 0) notes |= bit;
        return forest_.pick(3) == 0 ? kAllNotes : notes;
    }
    static Event about(const Knote& knote, int flags, unsigned notes = 0) {
        return change(*knote.fd, EVFILT_VNODE, flags, notes, 0,
                      tag(static_cast<uintptr_t>(*knote.fd)));
    }
    void apply(const Knote& knote, const std::string& what, int flags, unsigned notes = 0) {
        std::ostringstream line;
        line << what << " knote " << *knote.fd << std::hex << " 0x" << notes;
        forest_.say(line.str());
        EXPECT_EQ(queues_[knote.queue].apply(about(knote, flags, notes)), 0);
    }
    // What was done until now follows from what is asked for now.
    static void look(Knote& knote) {
        knote.report.post(knote.window.hints(knote.node->state));
        knote.window = VnodeWindow(knote.node->state);
    }

    void step();
    void watch();
    void forget(Knote& knote);
    void collect(size_t queue);

    VnodeForest forest_;
    Queue queues_[kQueues];
    std::vector<std::unique_ptr<Knote>> knotes_;
    std::string wrong_;
};

void Program::watch() {
    VnodeNode* node = forest_.any();
    if (node->names.empty()) return;
    const std::string path = forest_.path_of(node);
    Fd fd = open_file(forest_.tree().path(path), O_RDONLY);
    node->tell([](VnodeWindow& w) { w.used(NOTE_OPEN); });
    constexpr int kFlags[] = {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH, EV_DISPATCH | EV_CLEAR};
    const int flags = kFlags[forest_.pick(5)];
    const unsigned notes = some_notes();
    knotes_.push_back(
        std::make_unique<Knote>(Knote{forest_.pick(kQueues), std::move(fd), node,
                                      VnodeWindow(node->state), VnodeReport(notes, flags)}));
    Knote& knote = *knotes_.back();
    apply(knote,
          "watch " + path + " in " + std::to_string(knote.queue) + ", flags " +
              std::to_string(flags) + ",",
          EV_ADD | flags, notes);
    node->windows.push_back(&knote.window);
}

void Program::forget(Knote& knote) {
    std::erase(knote.node->windows, &knote.window);
    knote.fd.reset();
    knote.node->tell([](VnodeWindow& w) { w.used(NOTE_CLOSE); });
    std::erase_if(knotes_, [&knote](const auto& k) { return k.get() == &knote; });
}

void Program::collect(size_t queue) {
    forest_.say("collect " + std::to_string(queue));
    const std::vector<Event> events = queues_[queue].collect(64);
    std::vector<Knote*> gone;
    for (const auto& knote : knotes_) {
        if (knote->queue != queue) continue;
        look(*knote);
        const Event* event = nullptr;
        for (const Event& e : events)
            if (static_cast<int>(e.ident) == *knote->fd) event = &e;
        const std::string wrong = knote->report.take(event);
        if (!wrong.empty() && wrong_.empty())
            wrong_ = "knote " + std::to_string(*knote->fd) + ": " + wrong;
        if (knote->report.gone()) gone.push_back(knote.get());
    }
    for (Knote* knote : gone)
        forget(*knote);
}

void Program::step() {
    if (knotes_.size() < 6 && forest_.pick(4) == 0) return watch();
    if (forest_.pick(3) == 0) return collect(forest_.pick(kQueues));
    if (!knotes_.empty() && forest_.pick(5) == 0) {
        Knote& knote = *knotes_[forest_.pick(knotes_.size())];
        switch (forest_.pick(5)) {
            case 0:
                apply(knote, "disable", EV_DISABLE);
                return knote.report.disable(true);
            case 1:
            case 2:
                apply(knote, "enable", EV_ENABLE);
                return knote.report.disable(false);
            case 3: {
                look(knote);
                const unsigned notes = some_notes();
                apply(knote, "again", EV_ADD, notes);
                return knote.report.set_mask(notes);
            }
            default:
                apply(knote, "delete", EV_DELETE);
                return forget(knote);
        }
    }
    for (size_t i = forest_.pick(5); i > 0; i--)
        forest_.operate();
}

void search(bool shared) {
    const uint64_t programs = on_linux() ? 100 : 60;
    constexpr int kSteps = 120;
    const char* wanted = std::getenv("KQ_MODEL_SEED");
    const uint64_t first = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 1;
    for (uint64_t seed = first; seed < first + programs; seed++) {
        const std::string wrong = Program(seed, shared).run(kSteps);
        if (!wrong.empty() || testing::Test::HasFailure())
            FAIL() << "KQ_MODEL_SEED=" << seed << ": " << wrong;
    }
}

class VnodeRandom : public KqTest {};

TEST_F(VnodeRandom, R186_NothingIsLostBecauseSomethingElseHappened) {
    search(false);
}

// As beyond the limit of the system: what one kqueue reads is for others, too.
TEST_F(VnodeRandom, R192_NorWhereKqueuesShareWhatTheyHear) {
    search(true);
}

}  // namespace
}  // namespace kqtest
