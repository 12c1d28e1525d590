// SPDX-License-Identifier: BSD-2-Clause
// Wide: what kevent64() adds to a kqueue.
//
// Values of a knote that only kevent64() can set are kept in an Extension beside the knote. Nearly
// all knotes have none and need no memory for it. A knote that has one is marked kExtended. While a
// kevent64() call holds the mutex, Wide also knows its eventlist, and events are put into it as
// they are delivered. Owned by the kqueue. Lock: the kqueue's mutex.
#ifndef KQ_WIDE_H
#define KQ_WIDE_H

#include <sys/event.h>

#include <utility>

#include "alloc.h"
#include "hash_index.h"
#include "knote.h"
#include "result.h"

namespace kq {

struct Extension {
    Extension* chain = nullptr;  // in the index, by knote
    const Knote* knote = nullptr;
    uint64_t udata = 0;  // all 64 bits; a pointer may have fewer
    uint64_t ext[2] = {0, 0};

    [[nodiscard]] uint64_t hash_key() const { return hash_key(knote); }
    static uint64_t hash_key(const Knote* kn) { return reinterpret_cast<uintptr_t>(kn); }
};

// The eventlist of one kevent64() call, and the values of the event that is being delivered that do
// not fit into a struct kevent; 0: none.
struct WideList {
    struct kevent64_s* events;
    Extension noted;
};

class Wide {
  public:
    // ---- extensions ----

    // Called before a change, so that the change cannot run out of memory half-way. Makes `fresh`
    // if the change has values that do not fit into a struct kevent. no_memory.
    Errno prepare(const struct kevent64_s& change, Owned<Extension>& fresh);
    // Whether replace() may have something to do.
    [[nodiscard]] bool concerns(const Owned<Extension>& fresh) const {
        return extensions_.size() != 0 || fresh;
    }
    // The change was applied: `fresh` replaces the Extension that the knote had.
    void replace(Knote& kn, const struct kevent64_s& change, Owned<Extension> fresh);
    // Frees the Extension of a knote, which must have one.
    void forget(Knote& kn);

    // ---- the change that is being applied ----

    // `change` is that of kevent64(); null: it is one of kevent().
    void set_change(const struct kevent64_s* change) { change_ = change; }
    // ext[1] of that change; 0 for a change of kevent().
    [[nodiscard]] uint64_t second_ext() const { return change_ == nullptr ? 0 : change_->ext[1]; }

    // ---- the list of the call ----

    // Sets the list of the call that now holds the mutex; null: it is no kevent64() call. Returns
    // the list before.
    WideList* set_list(WideList* list) { return std::exchange(list_, list); }
    // An event of this knote, which has an Extension, is being delivered. Copies the Extension,
    // because the knote may be freed before put(). Does nothing outside of kevent64() calls.
    void note(const Knote& kn);
    // Widens an event and writes it to entry `place` of the list. There must be a list.
    void put(const struct kevent& event, int place);
    [[nodiscard]] struct kevent event_at(int place) const;

  private:
    [[nodiscard]] Extension* find(const Knote& kn) const;

    WideList* list_ = nullptr;
    const struct kevent64_s* change_ = nullptr;
    HashIndex<Extension> extensions_;
};

}  // namespace kq

#endif
