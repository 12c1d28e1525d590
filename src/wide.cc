// SPDX-License-Identifier: BSD-2-Clause
// kevent64(): the same changes and events, in a struct with wider members. Each change is cut to a
// struct kevent and applied as usual. Each event is made as usual and then widened. Values that do
// not fit into a struct kevent are kept in an Extension. See wide.h. Lock: the kqueue's mutex.
#include <algorithm>
#include <limits>
#include <utility>

#include "change.h"
#include "kqueue.h"
#include "specific.h"

namespace kq {
namespace {

constexpr timespec kAtOnce{0, 0};

// The value of udata after it was stored as a pointer, which may have fewer bits.
uint64_t as_pointer(uint64_t udata) {
    return static_cast<uintptr_t>(udata);
}

bool needs_extension(const struct kevent64_s& change) {
    return change.ext[0] != 0 || change.ext[1] != 0 || as_pointer(change.udata) != change.udata;
}

struct kevent cut(const struct kevent64_s& wide) {
    struct kevent kev {};
    kev.ident = static_cast<uintptr_t>(wide.ident);
    kev.filter = wide.filter;
    kev.flags = wide.flags;
    kev.fflags = wide.fflags;
    kev.data = static_cast<intptr_t>(std::clamp<int64_t>(
        wide.data, std::numeric_limits<intptr_t>::min(), std::numeric_limits<intptr_t>::max()));
    kev.udata = reinterpret_cast<void*>(static_cast<uintptr_t>(wide.udata));
    return kev;
}

// An event, or the answer to a change that said `udata` and `ext`.
struct kevent64_s widen(const struct kevent& kev, uint64_t udata, const uint64_t (&ext)[2]) {
    struct kevent64_s wide {};
    wide.ident = kev.ident;
    wide.filter = kev.filter;
    wide.flags = kev.flags;
    wide.fflags = kev.fflags;
    wide.data = kev.data;
    wide.udata = reinterpret_cast<uintptr_t>(kev.udata);
    // The full udata is used only if the event has the udata that the extension was made with: the
    // library's own answers have another one, and kevent() may have set another.
    if (as_pointer(udata) == wide.udata) wide.udata = udata;
    wide.ext[0] = ext[0];
    wide.ext[1] = ext[1];
    return wide;
}

}  // namespace

Result<int> Kqueue::run_wide(const struct kevent64_s* changes, int nchanges,
                             struct kevent64_s* events, int nevents, unsigned flags,
                             const timespec* timeout, void (*cancelled)(void*)) {
    if ((flags & KEVENT_FLAG_IMMEDIATE) != 0) timeout = &kAtOnce;
    return in_one_call([&](After& what) KQ_NO_ANALYSIS {
        bool stopped = false;
        Result<int> result = apply_wide(changes, nchanges, events, nevents, stopped);
        if (stopped || nevents == 0 || (flags & KEVENT_FLAG_ERROR_EVENTS) != 0) return result;
        WideList list{events, {}};
        (void)wide_.set_list(&list);
        result = scan(nullptr, nevents, timeout, cancelled);
        (void)wide_.set_list(nullptr);
        what = After::delivery;
        return result;
    });
}

// As apply_changes().
Result<int> Kqueue::apply_wide(const struct kevent64_s* changes, int nchanges,
                               struct kevent64_s* events, int nevents, bool& stopped) {
    int written = 0;
    for (int i = 0; i < nchanges; i++) {
        const struct kevent64_s change = changes[i];  // the lists may be the same array
        const Result<int> one =
            apply_one_wide(change, written < nevents ? &events[written] : nullptr, stopped);
        if (!one.ok()) return written == 0 ? one : closed_if_not_ours(one);
        written += one.value();
        if (stopped) return written;
    }
    stopped = written > 0;
    return written;
}

// Applies one change. Returns 1 if an answer was written, 0 if the change needs none. `stopped`:
// there was no room for an answer, or an error is returned.
Result<int> Kqueue::apply_one_wide(const struct kevent64_s& change, struct kevent64_s* answer,
                                   bool& stopped) {
    struct kevent kev = cut(change);
    struct kevent reply {};
    Owned<Extension> fresh;
    Errno refused = kev.ident == change.ident ? Errno::ok : Errno::invalid;
    if (refused == Errno::ok) refused = wide_.prepare(change, fresh);
    if (refused != Errno::ok) {
        stopped = answer == nullptr;
        if (stopped) return refused;
        *answer = change;
        answer->flags |= EV_ERROR;
        answer->data = to_int(refused);
        return 1;
    }
    bool told = false;
    wide_.set_change(&change);
    const Result<int> result = apply_changes(&kev, 1, &reply, answer == nullptr ? 0 : 1, told);
    wide_.set_change(nullptr);
    const bool written = answer != nullptr && result.ok() && result.value() == 1;
    stopped = told && !written;
    if (!result.ok()) return result;
    const bool failed = written && (reply.flags & EV_ERROR) != 0 && reply.data != 0;
    // Like udata, ext is not replaced with EV_KEEPUDATA.
    if (!failed && wide_.concerns(fresh) && (change.flags & EV_KEEPUDATA) == 0)
        if (Knote* kn = find_knote(*this, kev)) wide_.replace(*kn, change, std::move(fresh));
    if (written) *answer = widen(reply, change.udata, change.ext);
    return result;
}

// ---- extensions ----

Extension* Wide::find(const Knote& kn) const {
    return extensions_.find(Extension::hash_key(&kn),
                            [&kn](const Extension& one) { return one.knote == &kn; });
}

Errno Wide::prepare(const struct kevent64_s& change, Owned<Extension>& fresh) {
    if (!needs_extension(change)) return Errno::ok;
    if (!extensions_.reserve()) return Errno::no_memory;
    fresh = make<Extension>();
    return fresh ? Errno::ok : Errno::no_memory;
}

void Wide::replace(Knote& kn, const struct kevent64_s& change, Owned<Extension> fresh) {
    if (kn.has(kExtended)) forget(kn);
    if (!fresh) return;
    fresh->knote = &kn;
    fresh->udata = change.udata;
    fresh->ext[0] = change.ext[0];
    fresh->ext[1] = change.ext[1];
    extensions_.insert(fresh.release());
    kn.set(kExtended);
}

void Wide::forget(Knote& kn) {
    Extension* extension = find(kn);
    KQ_CHECK(extension != nullptr);
    extensions_.remove(extension);
    Owned<Extension>(extension).reset();
    kn.clear(kExtended);
}

// ---- the list of the call ----

void Wide::note(const Knote& kn) {
    if (list_ == nullptr) return;
    const Extension* extension = find(kn);
    KQ_CHECK(extension != nullptr);
    list_->noted.udata = extension->udata;
    list_->noted.ext[0] = extension->ext[0];
    list_->noted.ext[1] = extension->ext[1];
}

void Wide::put(const struct kevent& event, int place) {
    const Extension noted = std::exchange(list_->noted, Extension{});
    list_->events[place] = widen(event, noted.udata, noted.ext);
}

struct kevent Wide::event_at(int place) const {
    return cut(list_->events[place]);
}

}  // namespace kq
