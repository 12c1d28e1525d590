// SPDX-License-Identifier: BSD-2-Clause
// Changes of knotes with EV_UDATA_SPECIFIC, and how those with EV_DISPATCH2 end. See specific.h and
// farewell.h. The EV_ rules are those of change.h, with what macOS adds (semantics 3.7).
#include "specific.h"

#include <limits.h>

#include "change.h"
#include "farewell.h"
#include "fd_watch.h"
#include "filter_numbers.h"
#include "kqueue.h"
#include "registry.h"

namespace kq {
namespace {

constexpr bool is_of_descriptor(int16_t filter) {
    return is_of_descriptors(filter) || filter == EVFILT_VNODE || filter == kEvfiltEmpty ||
           filter == kEvfiltExcept || filter == kEvfiltProcdesc;
}

bool defers_delete(unsigned flags) {
    return (flags & EV_DISPATCH2) == EV_DISPATCH2;
}

// The knote of the change's filter, ident and udata. Farewells are not found.
Result<Knote*> find_specific(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    if (!is_of_descriptor(change.filter))
        return kq.find_indexed(change.filter, change.ident, [&change](const Knote& kn) {
            return kn.is_specific() && kn.udata == change.udata;
        });
    if (change.ident > INT_MAX) return Errno::bad_descriptor;
    const FdWatch* watch = kq.watches().find(change.ident);
    if (watch == nullptr) return nullptr;
    for (Knote* kn = watch->notes; kn != nullptr; kn = kn->chain)
        if (kn->filter == change.filter && kn->is_specific() && kn->udata == change.udata)
            return kn;
    return nullptr;
}

// Not each change asks for the descriptor. But the knote must find out at each change whether it
// was closed. A watched kqueue says so itself.
Errno look_for_close(KnoteQueue& kq, const Knote& kn) KQ_REQUIRES(kq.mutex()) {
    FdWatch& watch = fd_watch::watch_of(kq, kn);
    if (watch.facts.kind == FdKind::kqueue) return Errno::ok;
    return fd_watch::check_same(kq, fd_watch::fd_of(kn), watch);
}

}  // namespace

Knote* find_knote(KnoteQueue& kq, const struct kevent& change) {
    const FilterOps* ops = find_filter(change.filter);
    if (ops == nullptr) return nullptr;  // a question to the library
    const bool specific = (change.flags & EV_UDATA_SPECIFIC) != 0;
    if (specific)
        if (Knote* kn = farewell::find(kq, change)) return kn;
    const Result<Knote*> found = specific ? find_specific(kq, change) : ops->find(kq, change.ident);
    return found.ok() ? found.value() : nullptr;
}

// As register_by(), for a change with EV_UDATA_SPECIFIC or EV_VANISHED.
Errno Kqueue::register_specific(const struct kevent& change) {
    constexpr unsigned kAllowed = EV_ADD | EV_DISPATCH2;
    const unsigned flags = change.flags;
    if ((flags & EV_VANISHED) != 0 && (flags & kAllowed) != kAllowed) return Errno::invalid;
    const FilterOps* ops = find_filter(change.filter);
    if (ops == nullptr) return Errno::invalid;
    if ((flags & EV_ADD) != 0 && (flags & EV_KEEPUDATA) != 0) return Errno::invalid;

    Knote* kn = farewell::find(*this, change);
    if (kn == nullptr) {
        const Result<Knote*> found = find_specific(*this, change);
        if (!found.ok()) return found.error();
        kn = found.value();
    }
    if (kn == nullptr) {
        if ((flags & EV_ADD) == 0) return ops->absent(change.ident);
        return create_specific(change);
    }
    // As in register_found().
    if (registry::several.load(std::memory_order_relaxed) && check_exists() != Errno::ok)
        return Errno::bad_descriptor;
    const bool remove = (flags & EV_DELETE) != 0;
    Errno error = Errno::ok;
    if (!remove && farewell::is_asked_for(*kn)) error = look_for_close(*this, *kn);
    if (!is_gone(error))
        error = remove ? delete_specific(*kn, change) : modify_knote(ByTable(*kn), *kn, change);
    if (!is_gone(error)) return error;
    // The descriptor was found to be closed. If the knote has EV_VANISHED, it has become a
    // farewell, and the change applies to that.
    Knote* vanished = remove ? nullptr : farewell::find(*this, change);
    if (vanished != nullptr) return modify_knote(ByTable(*vanished), *vanished, change);
    return error == Errno::no_entry && (flags & EV_ADD) != 0 ? create_specific(change) : error;
}

// If it fails, nothing has changed.
Errno Kqueue::create_specific(const struct kevent& change) {
    const bool defers = defers_delete(change.flags);
    if (defers) {
        const Errno error = prepare_index();
        if (error != Errno::ok) return error;
    }
    const Errno error = create_knote(ByTable(change.filter), change);
    if (error != Errno::ok || (change.flags & EV_VANISHED) == 0) return error;
    if (!is_of_descriptor(change.filter)) return error;  // nothing else vanishes
    const Result<Knote*> made = find_specific(*this, change);
    if (made.ok() && made.value() != nullptr) made.value()->filter_bits |= farewell::kAskedFor;
    return error;
}

// EV_DELETE. A knote of EV_DISPATCH2 that is disabled goes only when it is enabled.
Errno Kqueue::delete_specific(Knote& kn, const struct kevent& change) {
    const bool vanishes = farewell::is_asked_for(kn);
    const bool now = !kn.has(kDisabled) || (change.flags & EV_ENABLE) != 0;
    if (now || !defers_delete(kn.flags)) {
        const Errno error = drop(kn);
        return vanishes ? Errno::ok : error;  // the knote existed, even if its descriptor is closed
    }
    if (!farewell::is_one(kn)) {
        const Errno error = ops_of(kn)->detach(*this, kn);
        if (is_gone(error) && !vanishes) {  // it went with its descriptor
            free_detached(kn);
            return error;
        }
    }
    farewell::defer(*this, kn);
    return Errno::in_progress;
}

// An event of this knote was delivered with EV_ONESHOT. The knote has EV_DISPATCH, too.
void Kqueue::end_dispatched(Knote& kn) {
    if (!defers_delete(kn.flags) || (farewell::is_one(kn) && farewell::is_deleted(kn))) {
        (void)drop(kn);
        return;
    }
    if (!farewell::is_one(kn)) (void)ops_of(kn)->detach(*this, kn);
    farewell::defer(*this, kn);
}

}  // namespace kq
