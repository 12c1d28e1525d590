// SPDX-License-Identifier: BSD-2-Clause
// A sparse array indexed by small numbers (descriptors): chunks are allocated
// when first touched, zeroed, and never move, so a pointer to an element stays
// good as long as the table lives.
//
// T must be usable when all its bytes are zero.
// Thread rule: the lock of the object that holds the table.
#ifndef KQ_SLOT_TABLE_H
#define KQ_SLOT_TABLE_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>

#include "alloc.h"

namespace kq {

template <class T>
class SlotTable {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    SlotTable() = default;
    SlotTable(const SlotTable&) = delete;
    SlotTable& operator=(const SlotTable&) = delete;
    ~SlotTable() {
        for (size_t i = 0; i < chunks_; i++)
            free(directory_[i]);
        free(directory_);
    }

    // The element, or null if nothing near it was ever touched.
    [[nodiscard]] T* find(size_t index) const {
        const size_t chunk = index / kChunk;
        if (chunk >= chunks_ || directory_[chunk] == nullptr) return nullptr;
        return &directory_[chunk][index % kChunk];
    }

    // The element. at() must have made it.
    [[nodiscard]] T& known(size_t index) const {
        return directory_[index / kChunk][index % kChunk];
    }

    // The element, made if needed; null when memory is short.
    [[nodiscard]] T* at(size_t index) {
        const size_t chunk = index / kChunk;
        if (chunk >= chunks_) {
            if (!grow_array(directory_, capacity_, chunk + 1)) return nullptr;
            memset(directory_ + chunks_, 0, (capacity_ - chunks_) * sizeof(T*));
            chunks_ = capacity_;
        }
        if (directory_[chunk] == nullptr)
            directory_[chunk] = static_cast<T*>(calloc(kChunk, sizeof(T)));
        return directory_[chunk] == nullptr ? nullptr : &directory_[chunk][index % kChunk];
    }

    // Whether the chunks of the table reach to this index.
    [[nodiscard]] bool covers(size_t index) const { return index / kChunk < chunks_; }

    // Calls visit(index, element) for every element of every chunk that exists.
    template <class Visit>
    void for_each(Visit visit) {
        for (size_t c = 0; c < chunks_; c++)
            for (size_t i = 0; directory_[c] != nullptr && i < kChunk; i++)
                visit(c * kChunk + i, directory_[c][i]);
    }

  private:
    static constexpr size_t kChunk = 32;

    T** directory_ = nullptr;
    size_t chunks_ = 0;  // entries of the directory in use
    size_t capacity_ = 0;
};

}  // namespace kq

#endif
