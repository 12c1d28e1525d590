// Processes: the pidfds of one kqueue. What a process says is processes::ask(),
// in the same file. Used by Backend only; lock: the kqueue's mutex, except
// abandon_in_child(), which runs without it: the forking thread was not the one
// that worked here.
//
// A pidfd names one process for ever, whoever gets its number later; it can be
// had for any process that can be seen. Nothing here reaps, and SIGCHLD is the
// program's own.
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

    // Fills facts; `fd`: the pidfd, readable from the exit on. no_process: none of
    // that id, or it is a thread. unimplemented: the kernel has no pidfds (or a
    // sandbox denies them), but processes::ask() can be asked.
    Errno open(int32_t pid, ProcessFacts& facts, int& fd);
    void forget(ProcessFacts& facts);
    void abandon_in_child();

    // ProcessFacts::place. In chunks that stay where they are while the kqueue
    // lives, so that a forked child finds all of them, whatever another thread was
    // doing here when it was made.
    struct Slot {
        std::atomic<int> fd{-1};
        Handle handle;  // what the kernel queue gives back for it
        Slot* next_free = nullptr;
    };

    // visit(fd, handle) for each that is open.
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
