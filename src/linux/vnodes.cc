// inotify. See vnodes.h. Lock: that of the Backend it belongs to.
#include "vnodes.h"

#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "alloc.h"
#include "sys.h"

namespace kq {

VnodeWatch::Entry* VnodeWatch::find(int32_t wd) const {
    return entries_.find(static_cast<uint32_t>(wd), [wd](const Entry& e) { return e.wd == wd; });
}

Errno VnodeWatch::open() {
    inotify_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return inotify_ < 0 ? last_errno() : Errno::ok;
}

Errno VnodeWatch::watch(int fd, Handle handle, int32_t& cookie) {
    Owned<Entry> entry = make<Entry>();
    if (!entry || !entries_.reserve()) return Errno::no_memory;
    char path[sizeof "/proc/self/fd/" + 12];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int wd = inotify_add_watch(inotify_, path, IN_MODIFY);
    if (wd < 0) return last_errno();
    entry->wd = cookie = wd;
    entry->handle = handle;
    entries_.insert(entry.release());
    return Errno::ok;
}

void VnodeWatch::unwatch(Handle handle, int32_t cookie) {
    Entry* entry = entries_.find(static_cast<uint32_t>(cookie), [handle, cookie](const Entry& e) {
        return e.wd == cookie && e.handle.bits() == handle.bits();
    });
    KQ_CHECK(entry != nullptr);
    entries_.remove(entry);
    Owned<Entry>(entry).reset();
    // Fails if the file is no more, and the watch with it.
    if (find(cookie) == nullptr) (void)inotify_rm_watch(inotify_, cookie);
}

void VnodeWatch::tell_all(void (*tell)(void*, Handle), void* context) {
    entries_.for_each([tell, context](Entry* e) { tell(context, e->handle); });
}

void VnodeWatch::tell_one(int32_t wd, void (*tell)(void*, Handle), void* context) {
    Entry* first = find(wd);
    for (Entry* e = first; e != nullptr; e = e->chain)
        if (e->wd == wd) tell(context, e->handle);
}

void VnodeWatch::take(void (*tell)(void*, Handle), void* context) {
    alignas(inotify_event) char buffer[4096];
    const ssize_t size = sys::read(inotify_, buffer, sizeof buffer);
    // Nothing to read is fine; what did not fit makes the descriptor readable again.
    for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        at += static_cast<ssize_t>(sizeof *event + event->len);
        if ((event->mask & IN_Q_OVERFLOW) != 0)
            tell_all(tell, context);  // changes were lost: all may have changed
        else
            tell_one(event->wd, tell, context);
    }
}

void VnodeWatch::close() {
    entries_.for_each([this](Entry* e) {
        entries_.remove(e);
        Owned<Entry>(e).reset();
    });
    sys::close_and_clear(inotify_);
}

void VnodeWatch::abandon_in_child() {
    sys::close_and_clear(inotify_);
}

}  // namespace kq
