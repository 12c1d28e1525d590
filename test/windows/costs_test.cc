// SPDX-License-Identifier: BSD-2-Clause
// What the library takes and gives back: memory, and handles for each thing that it watches.
#include <climits>

#include "support.h"

namespace kqtest {
namespace {

// How many more handles there are after `work`.
template <class Work>
int handles_of(Work work) {
    const int before = handles();
    work();
    return handles() - before;
}

// The bytes in use in all heaps.
size_t bytes_in_use() {
    HANDLE heaps[64];
    size_t bytes = 0;
    const DWORD count = GetProcessHeaps(64, heaps);
    for (DWORD i = 0; i < count && i < 64; i++) {
        PROCESS_HEAP_ENTRY entry{};
        HeapLock(heaps[i]);
        while (HeapWalk(heaps[i], &entry) != 0)
            if ((entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0) bytes += entry.cbData;
        HeapUnlock(heaps[i]);
    }
    return bytes;
}

TEST(Costs, HandlesOfAKqueue) {
    const Queue first;  // makes what is made once in a process
    std::vector<std::unique_ptr<Queue>> queues;
    EXPECT_EQ(handles_of([&] {
                  for (int i = 0; i < 10; i++)
                      queues.push_back(std::make_unique<Queue>());
              }),
              10 * 3);
}

TEST(Costs, HandlesOfSockets) {
    Queue q;
    const Pair pairs[16];
    EXPECT_LE(handles_of([&] {
                  for (const Pair& pair : pairs)
                      for (const Socket* socket : {&pair.a, &pair.b}) {
                          EXPECT_EQ(q.change(*socket, EVFILT_READ, EV_ADD), 0);
                          EXPECT_EQ(q.change(*socket, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
                      }
                  EXPECT_EQ(q.collect(64).size(), 32u);
              }),
              1 + 2 + 1);  // one of the kqueue, two of the process, one to look at edges
}

TEST(Costs, HandlesOfUserEventsAndTimers) {
    Queue q;
    EXPECT_EQ(q.change(0, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1), 0);
    EXPECT_EQ(q.one().ident, 0u);  // makes the system's timer that serves all timers
    EXPECT_EQ(handles_of([&] {
                  for (uintptr_t i = 1; i <= 100; i++) {
                      EXPECT_EQ(q.change(i, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
                      EXPECT_EQ(q.change(i, EVFILT_TIMER, EV_ADD, 0, 100000), 0);
                  }
              }),
              0);
}

TEST(Costs, HandlesOfFilesOfADirectory) {
    Queue q;
    const File files[8];
    EXPECT_LE(handles_of([&] {
                  for (const File& file : files)
                      EXPECT_EQ(q.change(static_cast<uintptr_t>(file.fd), EVFILT_VNODE,
                                         EV_ADD | EV_CLEAR, NOTE_WRITE),
                                0);
              }),
              1);
}

// The handle of a directory would keep the program from removing the directory.
TEST(Costs, HandlesOfADirectoryAreGivenBackWithItsLastFile) {
    Queue q;
    const File file;
    const auto ident = static_cast<uintptr_t>(file.fd);
    EXPECT_EQ(handles_of([&] {
                  EXPECT_EQ(q.change(ident, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE), 0);
              }),
              1);
    EXPECT_EQ(handles_of([&] { EXPECT_EQ(q.change(ident, EVFILT_VNODE, EV_DELETE), 0); }), -1);
}

// Each watched process takes a handle, and on Windows the wait for it takes another one. Both are
// given back when the knote ends: after its event, by EV_DELETE, and with the kqueue.
class HandlesOfProcesses : public testing::Test {
  protected:
    static constexpr int kCount = 8;
    using Children = std::vector<std::unique_ptr<Child>>;

    static Children children() {
        Children all;
        for (int i = 0; i < kCount; i++)
            all.push_back(std::make_unique<Child>());
        return all;
    }
    static void watch(Queue& q, const Children& children) {
        for (const auto& child : children)
            EXPECT_EQ(q.change(child->pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
    }
    static void end_and_report(Queue& q, const Children& children) {
        for (const auto& child : children)
            child->end(1);
        size_t reported = 0;
        for (auto events = q.wait(); !events.empty(); events = q.collect(16, milliseconds(1000))) {
            reported += events.size();
            if (reported >= kCount) break;
        }
        EXPECT_EQ(reported, size_t{kCount});
    }
    // Runs first, because the system's thread pool takes some handles once in a process.
    static void warm_up() {
        Queue q;
        const Children some = children();
        watch(q, some);
        end_and_report(q, some);
    }
    void SetUp() override { warm_up(); }
};

TEST_F(HandlesOfProcesses, OneOrTwoEach) {
    Queue q;
    const Children some = children();
    const int taken = handles_of([&] { watch(q, some); });
    EXPECT_GE(taken, kCount);
    EXPECT_LE(taken, (is_wine() ? 1 : 2) * kCount);
}

TEST_F(HandlesOfProcesses, GivenBackWhenTheEndWasReported) {
    Queue q;
    const Children some = children();
    EXPECT_EQ(handles_of([&] {
                  watch(q, some);
                  end_and_report(q, some);
              }),
              0);
}

TEST_F(HandlesOfProcesses, GivenBackByEvDelete) {
    Queue q;
    const Children some = children();
    EXPECT_EQ(handles_of([&] {
                  watch(q, some);
                  for (const auto& child : some)
                      EXPECT_EQ(q.change(child->pid(), EVFILT_PROC, EV_DELETE), 0);
              }),
              0);
}

// A thread of the system's thread pool frees what was closed. That takes a moment.
TEST_F(HandlesOfProcesses, GivenBackWithTheKqueue) {
    const Children some = children();
    const int before = handles();
    {
        Queue running;
        Queue ended;
        watch(running, some);
        watch(ended, some);
        some[0]->end(1);
        EXPECT_EQ(ended.wait().size(), 1u);
        EXPECT_GE(handles() - before, 2 * kCount - 1);
    }
    const auto begin = Clock::now();
    while (handles() != before && Clock::now() - begin < milliseconds(5000))
        std::this_thread::sleep_for(milliseconds(10));
    EXPECT_EQ(handles(), before);
}

TEST_F(HandlesOfProcesses, GivenBackOfWhatCannotBeWatched) {
    Queue q;
    EXPECT_EQ(handles_of([&] {
                  for (int i = 0; i < kCount; i++)
                      EXPECT_EQ(q.change(INT_MAX, EVFILT_PROC, EV_ADD, NOTE_EXIT), ESRCH);
              }),
              0);
}

// Everything is made, watched, reported, and closed, each time in another order.
void storm(int rounds) {
    for (int i = 0; i < rounds; i++) {
        Queue q;
        Queue inner;
        Pair pair;
        Pipe pipe;
        EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | (i % 2 != 0 ? EV_CLEAR : 0)), 0);
        EXPECT_EQ(q.change(pair.a, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
        EXPECT_EQ(q.change(pair.b, EVFILT_READ, EV_ADD | EV_DISABLE), 0);
        EXPECT_EQ(q.change(static_cast<uintptr_t>(pipe.ends[0]), EVFILT_READ, EV_ADD), 0);
        EXPECT_EQ(q.change(static_cast<uintptr_t>(inner.fd()), EVFILT_READ, EV_ADD), 0);
        EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 1), 0);
        EXPECT_EQ(inner.change(2, EVFILT_USER, EV_ADD, NOTE_TRIGGER), 0);
        pair.b.send("x");
        EXPECT_GE(q.collect().size(), 2u);
        if (i % 3 == 0) pair.a.close();
        if (i % 5 == 0) inner.close();
        if (i % 7 == 0) q.close();
    }
}

TEST(Costs, NothingIsLeftAfterAStorm) {
    // A thread of the system's thread pool frees what was closed. That takes a moment.
    const auto settled = [](int rounds) {
        storm(rounds);
        std::this_thread::sleep_for(milliseconds(300));
        return bytes_in_use();
    };
    const int at_first = handles_of([&] { (void)settled(200); });
    const size_t before = settled(20);
    size_t after = 0;
    const int more = handles_of([&] { after = settled(400); });
    EXPECT_LE(after, before + 32768) << "after 400 rounds; " << at_first << " handles";
    EXPECT_LE(more, 8);  // threads of the thread pool
}

}  // namespace
}  // namespace kqtest
