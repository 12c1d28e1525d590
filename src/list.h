// An intrusive doubly linked list. Elements derive from Link and are on at
// most one list at a time; the list owns nothing.
//
// Thread rule: none of its own; the lock of whatever holds the list.
#ifndef KQ_LIST_H
#define KQ_LIST_H

#include "check.h"

namespace kq {

struct Link {
    Link* prev = nullptr;
    Link* next = nullptr;

    [[nodiscard]] bool linked() const { return next != nullptr; }
    // Takes the element off whatever list it is on.
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
        link->prev = head_.prev;
        link->next = &head_;
        head_.prev->next = link;
        head_.prev = link;
    }

  private:
    Link head_;
};

}  // namespace kq

#endif
