// SPDX-License-Identifier: BSD-2-Clause
// An intrusive hash table: elements are chained through their own `chain` pointer. So adding one
// allocates nothing, except a larger array of buckets now and then. The index owns only that array.
//
// T has: T* chain; uint64_t hash_key() const.
// Thread rule: the lock of the object that holds the index.
#ifndef KQ_HASH_INDEX_H
#define KQ_HASH_INDEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"

namespace kq {

template <class T>
class HashIndex {
  public:
    HashIndex() = default;
    HashIndex(const HashIndex&) = delete;
    HashIndex& operator=(const HashIndex&) = delete;
    ~HashIndex() { free(buckets_); }

    [[nodiscard]] size_t size() const { return count_; }

    // Whether the next insert() succeeds without reserve().
    [[nodiscard]] bool has_room() const { return count_ < capacity(); }

    // Makes sure that the next insert() succeeds. False: memory is short.
    [[nodiscard]] bool reserve() {
        if (has_room()) return true;
        // A full table still works, only slower: so only the first array must not fail.
        return resize(capacity() == 0 ? kFirst : capacity() * 2) || buckets_ != nullptr;
    }

    // Requires a reserve() before it.
    void insert(T* element) {
        KQ_CHECK(buckets_ != nullptr);
        T** bucket = &buckets_[slot(element->hash_key())];
        element->chain = *bucket;
        *bucket = element;
        count_++;
    }

    // The first element with this key that satisfies `matches`, or null.
    template <class Match>
    T* find(uint64_t key, Match matches) const {
        if (buckets_ == nullptr) return nullptr;
        for (T* e = buckets_[slot(key)]; e != nullptr; e = e->chain)
            if (matches(*e)) return e;
        return nullptr;
    }

    // The element must be in the index.
    void remove(T* element) {
        KQ_CHECK(buckets_ != nullptr);
        T** at = &buckets_[slot(element->hash_key())];
        while (*at != element) {
            KQ_CHECK(*at != nullptr);
            at = &(*at)->chain;
        }
        *at = element->chain;
        element->chain = nullptr;
        count_--;
    }

    // Some element, or null when empty; for destroying the elements one by one.
    [[nodiscard]] T* any() const {
        for (size_t i = 0; count_ != 0 && i < capacity(); i++)
            if (buckets_[i] != nullptr) return buckets_[i];
        return nullptr;
    }

    // Calls visit(element) for each; visit may not change the index, except by removing and freeing
    // the element it was given.
    template <class Visit>
    void for_each(Visit visit) {
        for (size_t i = 0; i < capacity(); i++)
            for (T *e = buckets_[i], *next = nullptr; e != nullptr; e = next) {
                next = e->chain;
                visit(e);
            }
    }

  private:
    static constexpr size_t kFirst = 8;

    [[nodiscard]] size_t capacity() const { return buckets_ == nullptr ? 0 : size_t{1} << bits_; }
    // Fibonacci hashing: idents are often small consecutive numbers or aligned pointers.
    [[nodiscard]] size_t slot(uint64_t key) const {
        return static_cast<size_t>((key * 0x9e3779b97f4a7c15u) >> (64 - bits_));
    }

    [[gnu::noinline]] bool resize(size_t wanted) {
        auto** fresh = static_cast<T**>(calloc(wanted, sizeof(T*)));
        if (fresh == nullptr) return false;
        T** old = buckets_;
        const size_t old_capacity = capacity();
        buckets_ = fresh;
        bits_ = static_cast<unsigned>(__builtin_ctzll(wanted));
        for (size_t i = 0; i < old_capacity; i++)
            for (T *e = old[i], *next = nullptr; e != nullptr; e = next) {
                next = e->chain;
                T** bucket = &buckets_[slot(e->hash_key())];
                e->chain = *bucket;
                *bucket = e;
            }
        free(old);
        return true;
    }

    T** buckets_ = nullptr;
    unsigned bits_ = 0;
    size_t count_ = 0;
};

}  // namespace kq

#endif
