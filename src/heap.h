// SPDX-License-Identifier: BSD-2-Clause
// A 4-ary min-heap of pointers whose elements know their own place, so that
// any of them can be removed or moved in O(log n). The heap owns only its array.
//
// T has: uint32_t heap_place; a static or free `bool earlier(const T&, const T&)`.
// Thread rule: the lock of the object that holds the heap.
#ifndef KQ_HEAP_H
#define KQ_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "alloc.h"
#include "check.h"

namespace kq {

inline constexpr uint32_t kNotInHeap = UINT32_MAX;

template <class T>
class Heap {
  public:
    Heap() = default;
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;
    ~Heap() { free(items_); }

    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] size_t size() const { return count_; }
    [[nodiscard]] T* top() const { return count_ == 0 ? nullptr : items_[0]; }

    // The element in a place, by which a part of the heap can be looked at. Place 0 has the top.
    [[nodiscard]] const T* at(size_t place) const { return items_[place]; }

    // Whether there is room for `total` elements without reserve().
    [[nodiscard]] bool has_room(size_t total) const { return total <= capacity_; }

    // Makes room for `total` elements in all. False: memory is short.
    [[nodiscard]] bool reserve(size_t total) {
        return total < kNotInHeap && grow_array(items_, capacity_, total);
    }

    // Requires room, see reserve(), and an element that is not in a heap.
    void push(T* element) {
        KQ_CHECK(count_ < capacity_ && element->heap_place == kNotInHeap);
        count_++;
        sift_up(count_ - 1, element);
    }

    // The element, which is in the heap, has become earlier or later.
    KQ_INLINE void moved(T* element) {
        if (count_ != 1) move(element);
    }

    void remove(T* element) {
        const size_t at = element->heap_place;
        KQ_CHECK(at < count_ && items_[at] == element);
        T* last = items_[--count_];
        element->heap_place = kNotInHeap;
        if (last == element) return;
        settle(at, last);
    }

  private:
    [[gnu::noinline]] void move(T* element) {
        const size_t at = element->heap_place;
        KQ_CHECK(at < count_ && items_[at] == element);
        settle(at, element);
    }

    static constexpr size_t kWays = 4;
    static size_t parent(size_t i) { return (i - 1) / kWays; }

    // The place is free, and the element goes there, or up or down from there.
    void settle(size_t at, T* element) {
        if (at > 0 && earlier(*element, *items_[parent(at)]))
            sift_up(at, element);
        else
            sift_down(at, element);
    }

    void put(size_t at, T* element) {
        items_[at] = element;
        element->heap_place = static_cast<uint32_t>(at);
    }

    void sift_up(size_t at, T* element) {
        T** const items = items_;
        while (at > 0) {
            const size_t up = parent(at);
            T* const above = items[up];
            if (!earlier(*element, *above)) break;
            items[at] = above;
            above->heap_place = static_cast<uint32_t>(at);
            at = up;
        }
        put(at, element);
    }

    void sift_down(size_t at, T* element) {
        for (;;) {
            const size_t first = at * kWays + 1;
            if (first >= count_) break;
            size_t least = first;
            const size_t end = first + kWays < count_ ? first + kWays : count_;
            for (size_t child = first + 1; child < end; child++)
                if (earlier(*items_[child], *items_[least])) least = child;
            if (!earlier(*items_[least], *element)) break;
            put(at, items_[least]);
            at = least;
        }
        put(at, element);
    }

    T** items_ = nullptr;
    size_t capacity_ = 0;
    size_t count_ = 0;
};

}  // namespace kq

#endif
