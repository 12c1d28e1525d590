// SPDX-License-Identifier: BSD-2-Clause
// Wide: what kevent64() adds to a kqueue.
//
// What a knote has that only kevent64() can give it, an Extension, is kept beside it, so that
// knotes without, nearly all, do not pay. A knote that has one is marked kExtended. And while a
// call of kevent64() holds the mutex: its eventlist, into which events are put as they are
// delivered.
// Owned by the kqueue. Lock: the kqueue's mutex.
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
    uint64_t udata = 0;  // whole, where a pointer has fewer bits
    uint64_t ext[2] = {0, 0};

    [[nodiscard]] uint64_t hash_key() const { return hash_key(knote); }
    static uint64_t hash_key(const Knote* kn) { return reinterpret_cast<uintptr_t>(kn); }
};

// The eventlist of one kevent64() call, and what there is to say of the event that is just
// delivered beyond a struct kevent: zero if nothing.
struct WideList {
    struct kevent64_s* events;
    Extension noted;
};

class Wide {
  public:
    // ---- extensions ----

    // Before a change, which then cannot run out of memory half-way: `fresh` is made if the
    // change says more than a struct kevent can. no_memory.
    Errno prepare(const struct kevent64_s& change, Owned<Extension>& fresh);
    // Whether replace() could have anything to do.
    [[nodiscard]] bool concerns(const Owned<Extension>& fresh) const {
        return extensions_.size() != 0 || fresh;
    }
    // The change was applied: what it says beyond a struct kevent takes the place of what the
    // knote had.
    void replace(Knote& kn, const struct kevent64_s& change, Owned<Extension> fresh);
    // The knote, which has one, has none any more.
    void forget(Knote& kn);

    // ---- the change that is just applied ----

    // Of kevent64(), or of kevent() (null).
    void set_change(const struct kevent64_s* change) { change_ = change; }
    // ext[1] of it; 0 in kevent(), whose changes have none.
    [[nodiscard]] uint64_t second_ext() const { return change_ == nullptr ? 0 : change_->ext[1]; }

    // ---- the list of the call ----

    // Of this call from now on, or of none (null). Returns what was there.
    WideList* set_list(WideList* list) { return std::exchange(list_, list); }
    // An event of this knote, which has an extension, is just delivered, and the knote may be gone
    // before that is put into the list. Kept only for a call of kevent64().
    void note(const Knote& kn);
    // Widens an event into the list, which there is.
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
