// SPDX-License-Identifier: BSD-2-Clause
// Blocks: memory for many objects of one type, such as the knotes of one kind in one kqueue.
//
// Memory is taken from malloc() for several objects at a time. This costs a tenth of a malloc() and
// a free() for each object. A Chunk has one word with a bit for each free place. An object has the
// number of its place, and this number leads to the Chunk. So no further memory is needed for each
// object, and a free place is not touched before it is used. A chunk without objects is freed,
// except the last chunk that has room. So an object that is made and ended again and again costs no
// malloc(), and not more than one empty chunk is kept. With AddressSanitizer each object has memory
// of its own. So the use of an object after its end is found.
//
// T must have a member `place` for the numbers 0 to 63. Only the Blocks use it.
// Thread rule: the lock of the object that holds the Blocks.
#ifndef KQ_BLOCKS_H
#define KQ_BLOCKS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <bit>
#include <new>
#include <type_traits>

#include "alloc.h"
#include "check.h"
#include "list.h"

namespace kq {

class Blocks {
  public:
    Blocks() = default;
    Blocks(const Blocks&) = delete;
    Blocks& operator=(const Blocks&) = delete;
    // All objects must have ended.
    ~Blocks() {
        if (!chunks_.empty()) free(chunks_.front());
    }

    // Whether make() has room without malloc().
    [[nodiscard]] bool has_room() const { return kAlone || !chunks_.empty(); }

    // A new T; null when memory is short. All objects must be of the same type.
    template <class T>
    KQ_INLINE T* make() {
        static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= alignof(max_align_t));
        if constexpr (kAlone) return kq::make<T>().release();
        if (chunks_.empty() && !add_chunk(sizeof(T))) return nullptr;
        Chunk& chunk = *chunks_.front();
        const int place = std::countr_zero(chunk.room);
        chunk.room &= chunk.room - 1;  // the lowest bit is 0 now
        if (chunk.room == 0) chunk.unlink();
        T* object = ::new (chunk.begin() + static_cast<size_t>(place) * sizeof(T)) T;
        object->place = static_cast<uint8_t>(place);
        return object;
    }

    // Ends an object that make() made.
    template <class T>
    KQ_INLINE void destroy(T* object) {
        if constexpr (kAlone) {
            free(object);
            return;
        }
        const size_t place = object->place;
        char* begin = reinterpret_cast<char*>(object - place);
        Chunk& chunk = *std::launder(reinterpret_cast<Chunk*>(begin - sizeof(Chunk)));
        if (chunk.room == 0) chunks_.push_back(&chunk);
        chunk.room |= uint64_t{1} << place;
        if (chunk.room == chunk.all) free_if_spare(chunk);
    }

  private:
#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool kAlone = true;
#else
    static constexpr bool kAlone = false;
#endif
    // The first chunk is small, because many kqueues have few knotes. Each further chunk is twice
    // as large, up to kMost: in a large chunk the memory for the Chunk itself is shared by more
    // objects.
    static constexpr unsigned kFirst = 4;
    static constexpr unsigned kMost = 64;  // Chunk::room has so many bits

    struct Chunk : Link {   // the link: chunks_
        uint64_t room = 0;  // one bit for each free place
        uint64_t all = 0;   // one bit for each place
        char* begin() { return reinterpret_cast<char*>(this + 1); }
    };
    static_assert(sizeof(Chunk) % alignof(max_align_t) == 0);

    [[gnu::noinline]] bool add_chunk(size_t size) {
        const unsigned count = count_ < 4 ? kFirst << count_ : kMost;
        void* memory = malloc(sizeof(Chunk) + count * size);
        if (memory == nullptr) return false;
        auto* chunk = ::new (memory) Chunk;
        chunk->all = ~uint64_t{0} >> (kMost - count);
        chunk->room = chunk->all;
        chunks_.push_back(chunk);
        count_++;
        return true;
    }

    // The chunk has no objects any more.
    void free_if_spare(Chunk& chunk) {
        if (chunk.prev == chunk.next) return;  // it is the only one with room
        chunk.unlink();
        free(&chunk);
        count_--;
    }

    List<Chunk> chunks_;  // the chunks that have room
    size_t count_ = 0;    // the number of all chunks
};

}  // namespace kq

#endif
