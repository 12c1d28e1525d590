// SPDX-License-Identifier: BSD-2-Clause
// Pairs of simulated sockets, and calls of the core instead of kevent(). See model_subject.h.
#include "model_subject.h"

#include <gtest/gtest-spi.h>

#include <algorithm>
#include <map>

namespace sim {
namespace {

using kqmodel::Entry;
using kqmodel::Outcome;
using kqmodel::Step;
using kqmodel::Wait;

constexpr int kFirst = 500;
constexpr int64_t kSpace = 1 << 16;  // bytes that a socket takes before it is full
constexpr int kReset = 104;          // ECONNRESET

class SimSubject : public kqmodel::Subject {
  public:
    explicit SimSubject(Variant variant) {
        reset();
        world().share_lanes = variant.share_lanes;
        world().single_threaded = variant.single_threaded;
        world().one_shot = variant.one_shot;
        for (std::unique_ptr<Queue>& queue : queues_)
            queue = std::make_unique<Queue>();
    }

    // When nothing is watched any more, nothing must be left in the kernel.
    ~SimSubject() override {
        for (int slot = 0; slot < kqmodel::kSlots; slot++)
            if (ends_.count(slot) != 0) world().close(kFirst + slot);
        for (const std::unique_ptr<Queue>& queue : queues_)
            EXPECT_EQ(queue->backend().registrations(), 0u);
    }

    Outcome kevent(const Step& call, Wait wait) override {
        if (wait == Wait::negative) return {-1, EINVAL, {}, ""};  // api.cc
        testing::TestPartResultArray failures;
        const testing::ScopedFakeTestPartResultReporter reporter(
            testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
        Queue& queue = *queues_[call.queue];
        if (call.changes.empty() && call.room > 0 && wait != Wait::invalid && !call.fault)
            disturb(queue);
        if (call.fault) refuse(call);
        Kevents changes;
        for (const Entry& entry : call.changes)
            changes.push_back(to_kevent(entry));
        const bool was_readable = queue.readable();
        const timespec timeout = timeout_of(wait);
        const Kevents events =
            queue.wait_until(wait == Wait::event ? nullptr : &timeout, call.room, changes);
        const bool failed = queue.error() != Errno::ok;
        Outcome outcome{failed ? -1 : static_cast<int>(events.size()),
                        failed ? kq::to_int(queue.error()) : 0,
                        {},
                        ""};
        for (const struct kevent& event : events)
            outcome.entries.push_back(from_kevent(event));
        const bool by_poll = was_readable || world().one_shot;  // then the model decides
        if (!by_poll && changes.empty() && wait == Wait::none && !events.empty())
            outcome.wrong = "poll() would have missed " + show(events);
        if (failures.size() > 0) outcome.wrong = failures.GetTestPartResult(0).message();
        for (int fault = 0; fault < static_cast<int>(Fault::count); fault++)
            world().fail(static_cast<Fault>(fault), Errno::ok, 1, 0);
        return outcome;
    }

    bool readable(int queue) override { return queues_[queue]->readable(); }
    void renew(int queue) override {
        queues_[queue].reset();
        queues_[queue] = std::make_unique<Queue>();
    }
    kqmodel::Now now() override {
        return {world().now(Clock::monotonic), world().now(Clock::realtime)};
    }
    void advance(Nanos by) override { world().advance(by); }

    void open(kqmodel::Kind, int a, int b) override {
        close_if_open(a);
        close_if_open(b);
        for (const int slot : {a, b}) {
            (void)world().open(FdKind::unix_stream, kFirst + slot);
            world().room(kFirst + slot, kSpace);
            ends_[slot] = ++last_end_;
        }
    }
    void close(int slot) override {
        const int peer = peer_of(slot);
        const bool unread = world().file(kFirst + slot).readable > 0;
        const bool last = world().file(kFirst + slot).numbers == 1;
        world().close(kFirst + slot);
        ends_.erase(slot);
        if (last && peer >= 0) world().end(kFirst + peer, unread ? kReset : 0);
    }
    void dup(int from, int to) override {
        close_if_open(to);
        world().dup(kFirst + from, kFirst + to);
        ends_[to] = ends_[from];
    }
    void write(int slot, int64_t count) override {
        world().room(kFirst + slot, -count);
        world().feed(kFirst + peer_of(slot), count);
    }
    void read(int slot, int64_t count) override {
        world().feed(kFirst + slot, -count);
        const int peer = peer_of(slot);
        if (peer >= 0) world().room(kFirst + peer, count);
    }
    int64_t fill(int slot) override {
        const int64_t count = world().file(kFirst + slot).space;
        write(slot, count);
        return count;
    }
    void shut(int) override { ADD_FAILURE() << "not in plain programs"; }
    void urge(int) override { ADD_FAILURE() << "there is no EVFILT_EXCEPT"; }
    void take(int) override { ADD_FAILURE() << "there is no EVFILT_EXCEPT"; }

  private:
    static timespec timeout_of(Wait wait) {
        if (wait == Wait::invalid) return {0, 1'000'000'000};
        return {0, wait == Wait::brief ? 50'000 : 0};
    }

    // This is not in the program. It does the same in each run, so that it does not change a
    // failure that is being shrunk.
    void disturb(Queue& queue) {
        random_ = random_ * 1103515245 + 12345;
        const unsigned choice = (random_ >> 16) % 16;
        if (choice < 2) world().wake();
        if (choice != 2) return;
        const auto number = static_cast<uint32_t>(kFirst + (random_ >> 20) % kqmodel::kSlots);
        const kq::Handle stale(kq::Handle::Kind::descriptor, number, kq::Handle::kGenerations);
        queue.backend().inject({stale, 0xff, static_cast<uint8_t>(random_ >> 30)});
    }

    static void refuse(const Step& call) {
        const auto error = static_cast<Errno>(kqmodel::kFault);
        if (call.room > 0) {
            world().fail(Fault::collect, error);
            return;
        }
        world().fail(Fault::add, error);
        world().fail(Fault::modify, error);
        world().fail(Fault::prepare_clock, error);
    }

    void close_if_open(int slot) {
        if (ends_.count(slot) != 0) close(slot);
    }

    // A slot that names the other end, or -1. The ends 1 and 2 are a pair, and 3 and 4, and so on.
    int peer_of(int slot) const {
        const int peer = ((ends_.at(slot) - 1) ^ 1) + 1;
        const auto at = std::find_if(ends_.begin(), ends_.end(),
                                     [peer](const auto& end) { return end.second == peer; });
        return at == ends_.end() ? -1 : at->first;
    }

    static bool is_descriptor(int filter) {
        return filter == EVFILT_READ || filter == EVFILT_WRITE;
    }

    struct kevent to_kevent(const Entry& entry) const {
        auto ident = static_cast<uintptr_t>(entry.ident);
        if (is_descriptor(entry.filter))
            ident = entry.ident == kqmodel::kNeverOpen ? UINTPTR_MAX
                                                       : ident + static_cast<uintptr_t>(kFirst);
        return change(ident, entry.filter, entry.flags, entry.fflags,
                      static_cast<intptr_t>(entry.data), reinterpret_cast<void*>(entry.tag));
    }

    static Entry from_kevent(const struct kevent& event) {
        Entry entry{event.filter, static_cast<int>(event.ident),
                    event.flags,  event.fflags,
                    event.data,   reinterpret_cast<uintptr_t>(event.udata)};
        if (!is_descriptor(event.filter)) return entry;
        entry.ident = event.ident == UINTPTR_MAX ? kqmodel::kNeverOpen : entry.ident - kFirst;
        return entry;
    }

    std::unique_ptr<Queue> queues_[kqmodel::kQueues];
    std::map<int, int> ends_;  // of open slots
    int last_end_ = 0;
    unsigned random_ = 1;
};

}  // namespace

kqmodel::Traits model_traits(bool one_shot) {
    return {.exact_clock = true,
            .start_ms = 1'700'001'000'000,
            .exact_room = true,
            .pipe_size = 0,
            .doubled_edges = false,
            .plain = true,
            .faults = true,
            .relaxed = {.edge = one_shot}};
}

std::unique_ptr<kqmodel::Subject> make_subject(Variant variant) {
    return std::make_unique<SimSubject>(variant);
}

}  // namespace sim
