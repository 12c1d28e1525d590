// SPDX-License-Identifier: BSD-2-Clause
// An intrusive doubly linked list. Elements derive from Link and are on at
// most one list at a time; the list owns nothing.
//
// Thread rule: the lock of the object that holds the list.
#ifndef KQ_LIST_H
#define KQ_LIST_H

#include "check.h"

namespace kq {

struct Link {
    Link* prev = nullptr;
    Link* next = nullptr;

    [[nodiscard]] bool linked() const { return next != nullptr; }
    // Takes the element off its list.
    void unlink() {
        KQ_CHECK(linked());
        prev->next = next;
        next->prev = prev;
        prev = next = nullptr;
    }
};

template <class T>
class List {
  public:
    List() { head_.prev = head_.next = &head_; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() = default;

    [[nodiscard]] bool empty() const { return head_.next == &head_; }
    // The first element; the list must not be empty.
    T* front() {
        KQ_CHECK(!empty());
        return static_cast<T*>(head_.next);
    }
    void push_back(T* element) {
        Link* link = element;
        KQ_CHECK(!link->linked());
        mark(*link);
    }

    // Puts a marker, which is no element, at the tail, so that a walk knows where to end.
    void mark(Link& marker) {
        marker.prev = head_.prev;
        marker.next = &head_;
        head_.prev->next = &marker;
        head_.prev = &marker;
    }
    // The first element; null if the marker, which is on the list, is before all of them.
    [[nodiscard]] T* first_before(const Link& marker) const {
        return head_.next == &marker ? nullptr : static_cast<T*>(head_.next);
    }

  private:
    Link head_;
};

}  // namespace kq

#endif
