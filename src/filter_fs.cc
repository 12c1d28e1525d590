// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_FS: file systems that are mounted and unmounted (semantics 5.11). The capability `mounts`
// of platform.h. Verbs of filter.h, under the kqueue's mutex.
//
// The ident is any number. A knote has no mask: each change is added to the fflags of all knotes of
// the kqueue, disabled ones included, as FreeBSD does. Enabled knotes that have nothing to report
// are parked, because a program that calls poll() on the kqueue may take the kernel's notice.
#include "filter_fs.h"

#include "filter.h"
#include "knote_queue.h"

namespace kq {

static_assert(Backend::kHas.mounts && MountsContract<Backend>);

namespace fs {

void hear(KnoteQueue& kq) {
    const uint32_t changes = kq.backend().take_mounts();
    if (changes == 0) return;
    uint32_t hint = 0;
    if ((changes & kMounted) != 0) hint |= VQ_MOUNT;
    if ((changes & kTakenAway) != 0) hint |= VQ_UNMOUNT;
    kq.for_each_indexed([&kq, hint](Knote* kn) KQ_NO_ANALYSIS {
        if (kn->filter != EVFILT_FS) return;
        kn->fflags |= hint;
        kq.activate(*kn);
    });
}

}  // namespace fs

namespace {

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_FS, ident);
}

Result<Knote*> create(KnoteQueue&, const struct kevent& change) {
    Owned<Knote> kn = make<Knote>();
    if (!kn) return Errno::no_memory;
    kn->flags |= EV_CLEAR;
    kn->saved_fflags = change.fflags;
    return kn.release();
}

// Waits for the next change, unless there is one to be reported.
void rest(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (!kn.has(kQueued) && !kn.has(kParked) && !kn.has(kDisabled)) kq.park(kn, Parking::idle);
}

// Ends the platform's watch if this filter has no knote any more.
void stop_if_last(KnoteQueue& kq) KQ_REQUIRES(kq.mutex()) {
    bool any = false;
    kq.for_each_indexed([&any](Knote* kn) { any = any || kn->filter == EVFILT_FS; });
    if (!any) kq.backend().unwatch_mounts();
}

Errno attach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    // Earlier changes are for the other knotes only.
    Errno error = kq.backend().watch_mounts();
    if (error == Errno::ok) {
        fs::hear(kq);
        error = kq.index(kn);
    }
    if (error != Errno::ok)
        stop_if_last(kq);
    else
        rest(kq, kn);
    return error;
}

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kq.unindex(kn);
    stop_if_last(kq);
    return Errno::ok;
}

Errno modify(KnoteQueue&, Knote& kn, const struct kevent& change) {
    kn.saved_fflags = change.fflags;
    return Errno::ok;
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    fs::hear(kq);
    if (kn.fflags != 0)
        kq.activate(kn);
    else
        rest(kq, kn);
    return Errno::ok;
}

void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    fs::hear(kq);  // the last look: mounts that come and go while it is disabled are not seen
    kq.deactivate(kn);
}

Verdict process(KnoteQueue& kq, Knote& kn, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    if (kn.fflags == 0) {
        rest(kq, kn);
        return Verdict::parked;
    }
    event.fflags = kn.fflags;
    event.data = 0;
    kn.fflags = 0;
    rest(kq, kn);
    return Verdict::report;
}

void look(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    fs::hear(kq);
    rest(kq, kn);
}

Errno inherit(KnoteQueue& kq, Knote& /*kn*/) KQ_REQUIRES(kq.mutex()) {
    return kq.backend().watch_mounts();
}

}  // namespace

constinit const FilterOps kFsFilter = {
    "EVFILT_FS", find,    never_added, create, attach,  detach,  destroy_as<Knote>, modify,
    enable,      disable, process,     look,   nullptr, nullptr, inherit,
};

}  // namespace kq
