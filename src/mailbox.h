// SPDX-License-Identifier: BSD-2-Clause
// Mailbox: where the rest of the process leaves news for a kqueue.
//
// Signals come to the process, and one kernel source reports on all processes. The thread that
// receives such news passes it to all kqueues that asked, without their mutex: it notes in the
// mailbox what happened, and rings the queue (Backend::post). Kqueue::read_mailbox() takes the news
// in, under the mutex.
//
// A mailbox belongs to one Kqueue from take() to give_back(). Its memory is never freed, and
// for_each() takes no lock: signal handlers walk through all of them. One that comes too late finds
// a mailbox that wants nothing, or that belongs to another kqueue. At worst a queue is rung for
// nothing.
#ifndef KQ_MAILBOX_H
#define KQ_MAILBOX_H

#include <limits.h>
#include <stdint.h>

#include <atomic>

namespace kq {

struct Letter;

struct Letters {
    Letter* first = nullptr;
    Letter* last = nullptr;
    int count = 0;
    int subscriptions = 0;  // while not 0 the queue hears of processes
    bool kept = false;      // some letters could not be written; their subscriptions keep them
    bool lost = false;      // some news was lost
};

struct Mailbox {
    static constexpr int kNowhere = INT_MAX;  // as a descriptor: that of no file
    // The kqueue's public descriptor, which may have been closed since; -1: the box is free.
    std::atomic<int> descriptor{-1};
    std::atomic<uint32_t> tag{0};  // that queue's, for Backend::post()
    // A bit for each signal (1 << number - 1) it watches.
    std::atomic<uint64_t> signals{0};
    // Those of them that are counted, but not to be rung for: their knotes are disabled.
    std::atomic<uint64_t> muted{0};
    // It watches other kqueues; and one of these has moved to a new kernel queue, in
    // which it is not registered.
    std::atomic<bool> watches_queues{false};
    std::atomic<bool> queue_was_renewed{false};
    // Its kqueue, or an earlier kqueue of this box, has subscribed to news of a process. If this is
    // false, there never was a letter.
    std::atomic<bool> has_subscribed{false};
    // What processes did: see process_hub.h, whose mutex guards it.
    Letters letters;
};

namespace mailbox {

// A free mailbox, which belongs to the caller and wants nothing; null: no memory.
Mailbox* take(int descriptor, uint32_t tag);
void give_back(Mailbox& mailbox);

// In a forked child: all boxes are free.
void abandon_in_child();

// ---- for for_each() ----
constexpr int kChunk = 32;
struct Chunk {
    Mailbox boxes[kChunk];
    std::atomic<int> used{0};  // the last box that ever was in use is before this one
    std::atomic<Chunk*> next{nullptr};
};
extern constinit Chunk first_chunk;

// Calls visit(mailbox) for each that may be in use. Async-signal-safe if visit is.
template <class Visit>
void for_each(Visit visit) {
    for (Chunk* chunk = &first_chunk; chunk != nullptr; chunk = chunk->next.load())
        for (int i = 0, used = chunk->used.load(); i < used; i++)
            if (chunk->boxes[i].descriptor.load() >= 0) visit(chunk->boxes[i]);
}

}  // namespace mailbox
}  // namespace kq

#endif
