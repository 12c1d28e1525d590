// SPDX-License-Identifier: BSD-2-Clause
// Bells by their numbers. See bells.h.
#include "bells.h"

#include <sched.h>
#include <stdlib.h>

#include <new>

#include "mutex.h"

namespace kq::bells {
namespace {

// The table from public numbers to bells; registry_cells.h has one like it for cells. A bell that
// is found here may have moved to another number, or may belong to another kqueue now.
constexpr size_t kChunk = 1024;
constexpr size_t kChunks = 2048;
struct Chunk {
    std::atomic<Bell*> bells[kChunk];
};
constinit std::atomic<Chunk*> directory[kChunks] = {};

constinit std::atomic<Bell*> all{nullptr};
constinit Mutex mutex;
Bell* unused KQ_GUARDED_BY(mutex) = nullptr;

std::atomic<Bell*>* at(int number) {
    const auto n = static_cast<size_t>(number);
    if (number < 0 || n / kChunk >= kChunks) return nullptr;
    Chunk* chunk = directory[n / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk->bells[n % kChunk];
}

std::atomic<Bell*>* make_at(int number) {
    const auto n = static_cast<size_t>(number);
    if (n / kChunk >= kChunks) return nullptr;
    std::atomic<Chunk*>& place = directory[n / kChunk];
    if (place.load() == nullptr)  // a new Chunk is all zero
        place.store(static_cast<Chunk*>(calloc(1, sizeof(Chunk))), std::memory_order_release);
    return at(number);
}

}  // namespace

Bell* first() {
    return all.load();
}

Bell* take() {
    {
        const Guard guard(mutex);
        if (Bell* bell = unused) {
            unused = bell->next_free;
            return bell;
        }
    }
    Bell* bell = make_one();
    if (bell == nullptr) return nullptr;
    bell->next_of_all = all.load();
    while (!all.compare_exchange_weak(bell->next_of_all, bell)) {
    }
    return bell;
}

void silence(Bell& bell, bool waits) {
    bell.tag.store(0);
    bell.hears_children.store(false);
    while (waits && bell.ringers.load() != 0)
        (void)sched_yield();
    if (!waits) bell.ringers.store(0);
}

void give_back(Bell& bell) {
    const Guard guard(mutex);
    bell.next_free = unused;
    unused = &bell;
}

bool reserve(int number) {
    return make_at(number) != nullptr;
}

Errno move(Bell& bell, int number) {
    bell.number.store(number);
    std::atomic<Bell*>* place = make_at(number);
    if (place == nullptr) return Errno::no_memory;
    place->store(&bell);
    return Errno::ok;
}

Errno post(int number, uint32_t tag) {
    const std::atomic<Bell*>* place = at(number);
    Bell* bell = place == nullptr ? nullptr : place->load();
    if (bell == nullptr) return Errno::bad_descriptor;
    bell->ringers.fetch_add(1);
    const bool right =
        tag != 0 && bell->tag.load() == tag && bell->number.load() == number && is_open(*bell);
    if (right) ring(*bell);
    bell->ringers.fetch_sub(1);
    return right ? Errno::ok : Errno::bad_descriptor;
}

Bell* find(int number) {
    const std::atomic<Bell*>* place = at(number);
    Bell* bell = place == nullptr ? nullptr : place->load();
    if (bell == nullptr || bell->tag.load() == 0) return nullptr;
    return bell->number.load() == number && is_open(*bell) ? bell : nullptr;
}

bool ring_for_children() {
    bool any = false;
    for (Bell* bell = first(); bell != nullptr; bell = bell->next_of_all) {
        bell->ringers.fetch_add(1);
        if (bell->hears_children.load()) {
            any = true;
            ring(*bell);
        }
        bell->ringers.fetch_sub(1);
    }
    return any;
}

void abandon_in_child() {
    ::new (&mutex) Mutex;
}

}  // namespace kq::bells
