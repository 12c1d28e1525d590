// SPDX-License-Identifier: BSD-2-Clause
// Memory: every allocation of the library passes here.
//
// make<T>() is malloc and placement new. So neither operator new nor libstdc++ is needed, and a
// failure is a null, never an exception. An Owned<T> frees what it holds.
#ifndef KQ_ALLOC_H
#define KQ_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

#include <new>
#include <type_traits>
#include <utility>

namespace kq {

// The sole owner of a T made by make<T>(), or of nothing.
template <class T>
class Owned {
  public:
    Owned() = default;
    explicit Owned(T* object) : object_(object) {}
    Owned(Owned&& other) noexcept : object_(other.release()) {}
    Owned& operator=(Owned&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    ~Owned() { reset(); }

    explicit operator bool() const { return object_ != nullptr; }
    T* operator->() const { return object_; }
    T& operator*() const { return *object_; }
    [[nodiscard]] T* get() const { return object_; }
    // Gives ownership to the caller.
    [[nodiscard]] T* release() { return std::exchange(object_, nullptr); }
    void reset(T* object = nullptr) {
        if (T* old = std::exchange(object_, object)) {
            old->~T();
            free(old);
        }
    }

  private:
    T* object_ = nullptr;
};

// A new T, or an empty Owned when memory is short.
template <class T, class... Args>
Owned<T> make(Args&&... args) {
    void* memory = malloc(sizeof(T));
    if (memory == nullptr) return Owned<T>();
    return Owned<T>(::new (memory) T(std::forward<Args>(args)...));
}

// Keeps the memory of a few objects of one size for the next ones: a knote that is reported once
// and added again costs no malloc(). With AddressSanitizer it keeps none, so that a knote that is
// used after its end is found.
class Spares {
  public:
    Spares() = default;
    Spares(const Spares&) = delete;
    Spares& operator=(const Spares&) = delete;
    ~Spares() {
        while (first_ != nullptr)
            free(std::exchange(first_, first_->next));
    }

    // A new T, as make(). All types that share these spares have the same size.
    template <class T>
    T* make() {
        static_assert(sizeof(T) >= sizeof(Spare) && std::is_trivially_destructible_v<T>);
        if (first_ == nullptr) return kq::make<T>().release();
        count_--;
        return ::new (std::exchange(first_, first_->next)) T;
    }
    // Ends an object that make() made.
    template <class T>
    void destroy(T* object) {
        if (count_ == kMost) {
            free(object);
            return;
        }
        count_++;
        first_ = ::new (object) Spare{first_};
    }

  private:
#if defined(__SANITIZE_ADDRESS__)
    static constexpr int kMost = 0;
#else
    static constexpr int kMost = 16;
#endif
    struct Spare {
        Spare* next;
    };

    Spare* first_ = nullptr;
    int count_ = 0;
};

// A growing array of trivial elements; the owner keeps count and capacity.
// Returns false and changes nothing when memory is short.
template <class T>
bool grow_array(T*& array, size_t& capacity, size_t wanted) {
    if (wanted <= capacity) return true;
    size_t next = capacity + capacity / 2;
    if (next < wanted) next = wanted;
    if (next < 8) next = 8;
    void* memory = realloc(array, next * sizeof(T));
    if (memory == nullptr) return false;
    array = static_cast<T*>(memory);
    capacity = next;
    return true;
}

}  // namespace kq

#endif
