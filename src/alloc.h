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

// A growing array of trivial elements; the owner keeps count and capacity.
// Returns false and changes nothing when memory is short.
template <class T>
[[gnu::noinline]] bool grow_array_now(T*& array, size_t& capacity, size_t wanted) {
    size_t next = capacity + capacity / 2;
    if (next < wanted) next = wanted;
    if (next < 8) next = 8;
    void* memory = realloc(array, next * sizeof(T));
    if (memory == nullptr) return false;
    array = static_cast<T*>(memory);
    capacity = next;
    return true;
}
template <class T>
bool grow_array(T*& array, size_t& capacity, size_t wanted) {
    return wanted <= capacity || grow_array_now(array, capacity, wanted);
}

}  // namespace kq

#endif
