// SPDX-License-Identifier: BSD-2-Clause
// News of watched files, for the knotes of their descriptors: the capability `files`.
// See fd_watch.h. Everything here runs under the kqueue's mutex.
#include "fd_filter.h"
#include "fd_watch.h"
#include "trace.h"
#include "vnode.h"

namespace kq {

static_assert(Backend::kHas.files && FilesContract<Backend>);

namespace {

void tell_queue(void* self, Handle handle, uint32_t changes) KQ_NO_ANALYSIS {
    fd_watch::on_file_changed(*static_cast<KnoteQueue*>(self), handle, changes);
}

}  // namespace

void KnoteQueue::take_files() {
    backend_.take_files(tell_queue, this);
}

void KnoteQueue::take_rest_of_files() {
    kq::take_rest_of_files(backend_, tell_queue, this);
}

namespace fd_watch {

Errno watch_file(KnoteQueue& kq, int fd, FdWatch& watch) {
    uint32_t wanted = 0;
    for (const Knote* kn = watch.notes; kn != nullptr; kn = kn->chain) {
        if (kn->filter == EVFILT_READ && (kn->filter_bits & kWatched) != 0) wanted |= kModified;
        if (kn->filter == EVFILT_VNODE) wanted |= vnode::wanted_by(*kn, watch.facts);
    }
    const Errno error = kq.backend().watch_file(fd, wanted, handle_of(fd, watch), watch.facts);
    // Perhaps while an event is delivered, when no knote may be forgotten: see Kqueue::announce().
    if (has_opened(kq.backend())) kq.note_stray();
    return error;
}

void unwatch_file(KnoteQueue& kq, int fd, FdWatch& watch) {
    (void)kq.backend().watch_file(fd, 0, handle_of(fd, watch), watch.facts);
}

namespace {

// Whether the number names the watched file and that has no name left, as far as is known.
bool is_nameless(FdWatch& watch, int fd) {
    FileState now;
    const Errno error = descriptor::file_state(fd, watch.facts, now);
    return error == Errno::ok ? now.links == 0 : !is_gone(error);  // unknown: no reason to drop it
}

}  // namespace

void on_file_changed(KnoteQueue& kq, Handle handle, uint32_t changes) {
    FdWatch* watch = find_watch(kq, handle);
    if (watch == nullptr) return;
    if ((changes & kGone) != 0) {
        if (!is_nameless(*watch, static_cast<int>(handle.index()))) {
            forget(kq, static_cast<int>(handle.index()));
            return;
        }
        // The file may still be open and have another name. Then it stays watched.
        (void)watch_file(kq, static_cast<int>(handle.index()), *watch);
        changes |= kUnknown;
    }
    if ((changes & kLost) != 0)
        trace_note(TraceLevel::trouble, kq.descriptor(),
                   "changes of the file of descriptor %u came faster than they were collected, "
                   "some are lost",
                   handle.index());
    const bool concerns = (changes & (kModified | kUnknown | kLost)) != 0;
    for (Knote* kn = note_of(*watch, EVFILT_READ); concerns && kn != nullptr; kn = next_of(*kn))
        if ((kn->filter_bits & kWatched) != 0)
            fd_filter::look_again(kq, static_cast<FdKnote&>(*kn));
    look_at_vnodes(kq, handle, changes);  // last, because it may drop all knotes
}

void look_at_vnodes(KnoteQueue& kq, Handle handle, uint32_t changes) {
    FdWatch* watch = find_watch(kq, handle);
    if (watch == nullptr) return;
    for (Knote *kn = note_of(*watch, EVFILT_VNODE), *next = nullptr; kn != nullptr; kn = next) {
        next = next_of(*kn);
        vnode::on_changed(kq, *kn, changes);
        if (find_watch(kq, handle) == nullptr) return;
    }
}

}  // namespace fd_watch
}  // namespace kq
