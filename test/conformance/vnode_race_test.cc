// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE while another process works: `rm -rf` removes a watched directory. A
// thread sleeps in kevent(), and can collect between any two steps of `rm`.
#include <atomic>

#include "support/gaps.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

class VnodeRace : public VnodeTest {
  protected:
    const int rounds_ = on_linux() ? 60 : 10;  // elsewhere each is looked for

    // Another process, which removes what it is told to.
    class Remover {
      public:
        explicit Remover(const std::string& path)
            : child_([this, path] {
                  char byte = 0;
                  start_.write.reset();
                  while (::read(*start_.read, &byte, 1) == 1) {
                      std::filesystem::remove_all(path);
                      if (::write(*end_.write, &byte, 1) != 1) return 1;
                  }
                  return 0;
              }) {}
        ~Remover() {
            start_.write.reset();
            EXPECT_EQ(child_.wait(), 0);
        }
        void start() { write_bytes(*start_.write, 1); }
        void wait() { read_bytes(*end_.read, 1); }

      private:
        Pipe start_ = make_pipe();
        Pipe end_ = make_pipe();
        Child child_;
    };

    void remove_with(int files, int flags) const {
        Remover remover(tree.path("victim"));
        for (int round = 0; round < rounds_; round++) {
            const Fd victim = tree.directory("victim");
            for (int i = 0; i < files; i++)
                tree.make("victim/" + std::to_string(i));
            ASSERT_EQ(add(victim, NOTE_WRITE | NOTE_DELETE, flags), 0);
            remover.start();
            unsigned told = 0;
            while ((told & NOTE_DELETE) == 0) {
                const std::vector<Event> events = q.wait();
                ASSERT_EQ(events.size(), 1u) << "round " << round << ", told " << told;
                told |= events[0].fflags;
                ASSERT_EQ(apply(victim, EV_ENABLE), 0);
            }
            EXPECT_EQ(told & NOTE_WRITE, 1u * NOTE_WRITE);
            remover.wait();
            ASSERT_EQ(apply(victim, EV_DELETE), 0);
        }
    }
};

TEST_F(VnodeRace, R185_R186_RemovedWithOneFile) {
    remove_with(1, EV_CLEAR);
}
TEST_F(VnodeRace, R185_R186_RemovedWithSeveralFiles) {
    remove_with(5, EV_CLEAR);
    remove_with(5, EV_DISPATCH | EV_CLEAR);
}
TEST_F(VnodeRace, R185_R186_RemovedWithManyFiles) {
    remove_with(50, EV_CLEAR);
}

// Each directory of a tree, each in a kqueue of its own thread.
TEST_F(VnodeRace, R185_ATreeIsRemoved) {
    const std::vector<std::string> names = {"victim", "victim/a", "victim/a/b", "victim/c"};
    Remover remover(tree.path("victim"));
    for (int round = 0; round < rounds_ / 2; round++) {
        std::vector<Fd> fds;
        for (const std::string& name : names) {
            fds.push_back(tree.directory(name));
            tree.make(name + "/file");
        }
        std::vector<Queue> queues(names.size());
        std::atomic<int> deleted{0};
        std::vector<Thread> threads;
        for (size_t i = 0; i < names.size(); i++) {
            ASSERT_EQ(queues[i].apply(change(*fds[i], EVFILT_VNODE, EV_ADD | EV_CLEAR,
                                             NOTE_WRITE | NOTE_DELETE)),
                      0);
            threads.emplace_back([&, i] {
                for (unsigned told = 0; (told & NOTE_DELETE) == 0;) {
                    const std::vector<Event> events = queues[i].wait();
                    if (events.empty()) return;
                    told |= events[0].fflags;
                }
                deleted++;
            });
        }
        remover.start();
        for (Thread& thread : threads)
            thread.join();
        remover.wait();
        ASSERT_EQ(deleted, static_cast<int>(names.size())) << "round " << round;
    }
}

}  // namespace
}  // namespace kqtest
