// SPDX-License-Identifier: BSD-2-Clause
// Mailboxes: chunks of them in a list that only grows. See mailbox.h.
#include "mailbox.h"

#include "alloc.h"

namespace kq::mailbox {

constinit Chunk first_chunk;

namespace {

void note_used(Chunk& chunk, int end) {
    int used = chunk.used.load();
    while (used < end && !chunk.used.compare_exchange_weak(used, end)) {
    }
}

}  // namespace

// A free box is claimed by setting its descriptor; chunks are appended. No lock.
Mailbox* take(int descriptor, uint32_t tag) {
    for (Chunk* chunk = &first_chunk;;) {
        for (int i = 0; i < kChunk; i++) {
            Mailbox& box = chunk->boxes[i];
            int nobody = -1;
            if (!box.descriptor.compare_exchange_strong(nobody, descriptor)) continue;
            box.tag.store(tag);
            note_used(*chunk, i + 1);
            return &box;
        }
        Chunk* next = chunk->next.load();
        if (next == nullptr) {
            Owned<Chunk> fresh = make<Chunk>();
            if (!fresh) return nullptr;
            if (chunk->next.compare_exchange_strong(next, fresh.get())) next = fresh.release();
        }
        chunk = next;
    }
}

void give_back(Mailbox& mailbox) {
    mailbox.signals.store(0);
    mailbox.muted.store(0);
    mailbox.watches_queues.store(false);
    mailbox.queue_was_renewed.store(false);
    mailbox.descriptor.store(-1);
}

void abandon_in_child() {
    for_each([](Mailbox& box) { give_back(box); });
}

}  // namespace kq::mailbox
