// SPDX-License-Identifier: BSD-2-Clause
// Processes: the pidfds of one kqueue. processes::ask() says what has become of a process; it is in
// the same source file. Used by Backend only. Lock: the kqueue's mutex, except for
// abandon_in_child(): the thread that forked may not be the one that worked here.
//
// A pidfd names one process for ever, even if another process gets its number later. The kernel
// gives one for any process that we can see. Nothing here reaps, and SIGCHLD is left to the
// program.
#ifndef KQ_LINUX_CHILDREN_H
#define KQ_LINUX_CHILDREN_H

#include <atomic>

#include "platform.h"

namespace kq {

class Pidfds {
  public:
    Pidfds() = default;
    ~Pidfds();
    Pidfds(const Pidfds&) = delete;
    Pidfds& operator=(const Pidfds&) = delete;

    // Fills `facts`. `fd` is the pidfd, which is readable from the exit on. no_process: no process
    // has that id, or it is the id of a thread. unimplemented: the kernel has no pidfds (or a
    // sandbox denies them), but processes::ask() works.
    Errno open(int32_t pid, ProcessFacts& facts, int& fd);
    void forget(ProcessFacts& facts);
    void abandon_in_child();
    // As that of Backend.
    static bool is_out_of_reach(int32_t pid);

    // ProcessFacts::place. The chunks stay where they are while the kqueue lives. So a forked child
    // finds all of them, even if another thread was working here at the time of the fork.
    struct Slot {
        std::atomic<int> fd{-1};
        Handle handle;  // what the kernel queue gives back for it
        Slot* next_free = nullptr;
    };

    // Calls visit(fd, handle) for each pidfd that is open.
    template <class Visit>
    void for_each(Visit visit) const {
        for (const Chunk* chunk = chunks_.load(); chunk != nullptr; chunk = chunk->next)
            for (const Slot& slot : chunk->slots)
                if (slot.fd.load() >= 0) visit(slot.fd.load(), slot.handle);
    }

  private:
    struct Chunk {
        Slot slots[30];
        Chunk* next = nullptr;
    };
    Slot* take_slot();

    std::atomic<Chunk*> chunks_{nullptr};
    Slot* free_ = nullptr;
};

}  // namespace kq

#endif
