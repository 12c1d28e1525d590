// inotify. See vnodes.h. Lock: that of the Backend it belongs to.
#include "vnodes.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#include <atomic>
#include <utility>

#include "alloc.h"
#include "proc_path.h"
#include "sys.h"

namespace kq {
namespace {

constexpr uint32_t kMoves = IN_MOVED_FROM | IN_MOVED_TO;

// What is asked of the kernel so that the changes that are wanted can be told.
uint32_t mask_for(uint32_t wanted, bool directory) {
    uint32_t mask = IN_DELETE_SELF;  // the kernel refuses to watch for nothing at all
    if ((wanted & kModified) != 0) mask |= IN_MODIFY;
    if ((wanted & kAttributes) != 0) mask |= IN_ATTRIB;
    if ((wanted & kMoved) != 0) mask |= IN_MOVE_SELF;
    // The last link of an open file goes with IN_ATTRIB, that of a directory is told by
    // its parent; which is another one after a move.
    if ((wanted & kRemoved) != 0) mask |= directory ? IN_MOVE_SELF : IN_ATTRIB;
    if ((wanted & (kEntryChanged | kSubdirectoryChanged)) != 0) mask |= IN_CREATE | IN_DELETE;
    if ((wanted & (kEntryMoved | kSubdirectoryMoved | kEntryRenamed)) != 0) mask |= kMoves;
    if ((wanted & kFileOpened) != 0) mask |= IN_OPEN;
    if ((wanted & kFileClosed) != 0) mask |= IN_CLOSE_NOWRITE;
    if ((wanted & kFileClosedWrite) != 0) mask |= IN_CLOSE_WRITE;
    if ((wanted & kFileRead) != 0) mask |= IN_ACCESS;
    return mask;
}

// What a watch of the file itself tells; its name is empty.
uint32_t changes_of(uint32_t mask) {
    uint32_t changes = 0;
    if ((mask & IN_MODIFY) != 0) changes |= kModified;
    if ((mask & IN_ATTRIB) != 0) changes |= kAttributes;
    if ((mask & IN_MOVE_SELF) != 0) changes |= kMoved;
    if ((mask & IN_DELETE_SELF) != 0) changes |= kRemoved;
    if ((mask & IN_OPEN) != 0) changes |= kFileOpened;
    if ((mask & IN_CLOSE_NOWRITE) != 0) changes |= kFileClosed;
    if ((mask & IN_CLOSE_WRITE) != 0) changes |= kFileClosedWrite;
    if ((mask & IN_ACCESS) != 0) changes |= kFileRead;
    return changes;
}

// What the watch of its parent tells of a directory: one that was there was removed, or
// another one took its place.
uint32_t changes_above(uint32_t event, uint32_t mask) {
    const bool removed = (mask & (IN_DELETE | IN_MOVED_TO)) != 0 && (event & IN_ISDIR) != 0;
    return removed ? uint32_t{kRemoved} : 0;
}

// /proc/self/fd/N was not found. Says so once if that is not for want of N.
Errno not_found(int fd) {
    const Errno error = descriptor::check_open(fd);
    if (error != Errno::ok) return error;
    static constinit std::atomic<bool> said{false};
    if (!said.exchange(true))
        say("libkqueue: /proc is not mounted: changes of files cannot be watched");
    return Errno::not_supported;
}

Errno reason(int fd) {
    if (errno == ENOENT || errno == ENOTDIR) return not_found(fd);
    return sys::refusal();
}

int32_t add_watch(int inotify, int fd, const char* tail, uint32_t mask) {
    const ProcPath path(fd, tail);
    for (;;) {
        const int32_t wd = inotify_add_watch(inotify, path.text, mask);
        if (wd >= 0 || errno != EINTR) return wd;  // as sys::fstat()
    }
}

}  // namespace

// ---- entries ----

VnodeWatch::Entry* VnodeWatch::first(int32_t wd) const {
    return entries_.find(static_cast<uint32_t>(wd), [wd](const Entry& e) { return e.wd == wd; });
}

VnodeWatch::Entry* VnodeWatch::find(int32_t wd, Handle handle, Role role) const {
    return entries_.find(static_cast<uint32_t>(wd), [wd, handle, role](const Entry& e) {
        return e.wd == wd && e.role == role && e.handle.bits() == handle.bits();
    });
}

uint32_t VnodeWatch::union_of(int32_t wd) const {
    uint32_t mask = 0;
    for (const Entry* e = first(wd); e != nullptr; e = e->chain)
        if (e->wd == wd) mask |= e->mask;
    return mask;
}

Errno VnodeWatch::open() {
    inotify_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return inotify_ < 0 ? last_errno() : Errno::ok;
}

// Fails if the file is no more, and the watch with it.
void VnodeWatch::remove(int32_t wd) {
    if (inotify_rm_watch(inotify_, wd) == 0) removed_ = true;
}

// Brings the kernel's mask of a watch down to what its entries want.
void VnodeWatch::settle(int32_t wd) {
    const uint32_t mask = union_of(wd);
    for (const Entry* e = first(wd); e != nullptr; e = e->chain) {
        if (e->wd != wd) continue;
        const char* tail = e->role == Role::parent ? "/.." : "";
        const int32_t got = add_watch(inotify_, e->fd, tail, mask);
        if (got == wd) return;
        if (got < 0) continue;
        // This descriptor is another file by now, which is found out elsewhere: undo.
        const uint32_t others = union_of(got);
        if (others == 0)
            remove(got);
        else
            (void)add_watch(inotify_, e->fd, tail, others | IN_MASK_ADD);
    }
    if (mask == 0) remove(wd);
}

void VnodeWatch::drop(Entry& entry) {
    const int32_t wd = entry.wd;
    const uint32_t before = union_of(wd);
    if (entry.linked()) entry.unlink();
    entries_.remove(&entry);
    Owned<Entry>(&entry).reset();
    if (union_of(wd) != before) settle(wd);
}

// Another mask for a descriptor that is watched.
Errno VnodeWatch::change(Entry& entry, int fd, uint32_t mask) {
    const uint32_t old = std::exchange(entry.mask, mask);
    const char* tail = entry.role == Role::parent ? "/.." : "";
    const int32_t got = add_watch(inotify_, fd, tail, union_of(entry.wd));
    if (got == entry.wd) return Errno::ok;
    const Errno error = got < 0 ? reason(fd) : Errno::no_entry;
    entry.mask = old;
    if (got >= 0) settle(got);  // another file by now
    return error;
}

Errno VnodeWatch::set_one(int fd, Role role, uint32_t mask, Handle handle, int32_t& wd,
                          bool& shared) {
    Entry* old = wd == 0 ? nullptr : find(wd, handle, role);
    KQ_CHECK((old != nullptr) == (wd != 0));
    if (mask == 0) {
        wd = 0;
        if (old != nullptr) drop(*old);
        return Errno::ok;
    }
    if (old != nullptr && role == Role::self) {
        shared = shared || (mask & ~old->mask) != 0;
        return old->mask == mask ? Errno::ok : change(*old, fd, mask);
    }
    Owned<Entry> entry = make<Entry>();
    if (!entry || !entries_.reserve()) return Errno::no_memory;
    const char* tail = role == Role::parent ? "/.." : "";
    const int32_t got = add_watch(inotify_, fd, tail, mask | IN_MASK_ADD);
    if (got < 0) return reason(fd);
    if (got == wd) return Errno::ok;  // the same parent as before
    shared = shared || (role == Role::self && first(got) != nullptr);
    entry->wd = wd = got;
    entry->fd = fd;
    entry->mask = mask;
    entry->role = role;
    entry->handle = handle;
    entries_.insert(entry.release());
    if (old != nullptr) drop(*old);  // a directory that was moved
    return Errno::ok;
}

Errno VnodeWatch::set(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    const bool directory = facts.kind == FdKind::directory;
    const uint32_t mask = wanted == 0 ? 0 : mask_for(wanted, directory);
    const uint32_t parent = directory && (wanted & kRemoved) != 0 ? IN_DELETE | IN_MOVED_TO : 0;
    bool shared = false;
    Errno error = set_one(fd, Role::self, mask, handle, facts.file_watch, shared);
    facts.file_shared = shared;
    const bool refused = is_refusal(error);
    facts.file_untold = refused || facts.file_silent;
    if (refused) error = Errno::ok;
    if (error != Errno::ok) return error;
    int32_t& wd = facts.parent_watch;
    if (set_one(fd, Role::parent, parent, handle, wd, shared) != Errno::ok) {
        (void)set_one(fd, Role::parent, 0, handle, wd, shared);  // that of another place
        facts.file_untold = true;
    }
    facts.file_shared = shared;
    return Errno::ok;
}

// ---- events ----

// What is read at a time, and understood as a whole: bytes up to `end`. The rest, up to
// `size`, comes with the next one.
struct VnodeWatch::Batch {
    static constexpr size_t kLargest = sizeof(inotify_event) + 256;  // with the longest name
    alignas(inotify_event) char bytes[16384];
    size_t size = 0;
    size_t end = 0;
    bool last = true;  // there is no more

    // The event at `at`, and the place of the next one.
    const inotify_event& next(size_t& at) const {
        const auto* event = reinterpret_cast<const inotify_event*>(bytes + at);
        at += sizeof *event + event->len;
        return *event;
    }

    // The other half of a move, or null: to or from where nobody watches.
    [[nodiscard]] const inotify_event* partner(const inotify_event& half) const {
        for (size_t at = 0; at < size;) {
            const inotify_event& event = next(at);
            const bool moves = (event.mask & kMoves) != 0;
            if (moves && event.cookie == half.cookie && &event != &half) return &event;
        }
        return nullptr;
    }

    // Where the first of the last few events is whose other half may still be to come.
    // They follow each other, but for what other processes do at the same moment.
    [[nodiscard]] size_t half() const {
        constexpr size_t kFew = 8;
        size_t starts[kFew] = {};
        size_t count = 0;
        for (size_t at = 0; at < size; (void)next(at))
            starts[count++ % kFew] = at;
        for (size_t i = count > kFew ? count - kFew : 0; i < count; i++) {
            size_t at = starts[i % kFew];
            const size_t start = at;
            const inotify_event& event = next(at);
            if ((event.mask & IN_MOVED_FROM) != 0 && partner(event) == nullptr) return start;
        }
        return size;
    }

    // What a directory is told by an event that has the name of an entry.
    [[nodiscard]] uint32_t changes_within(const inotify_event& event, uint32_t mask) const {
        const bool directory = (event.mask & IN_ISDIR) != 0;
        if ((mask & (IN_CREATE | IN_DELETE)) != 0)
            return directory ? kSubdirectoryChanged : kEntryChanged;
        if ((mask & kMoves) == 0) return 0;  // something happened to a child, not to us
        const inotify_event* other = partner(event);
        if (other != nullptr && other->wd == event.wd) return kEntryRenamed;
        return directory ? kSubdirectoryMoved : kEntryMoved;
    }
};

void VnodeWatch::read_batch(Batch& batch) const {
    batch.size -= batch.end;
    memmove(batch.bytes, batch.bytes + batch.end, batch.size);
    for (int i = 0; i < 2; i++) {
        const size_t room = sizeof batch.bytes - batch.size;
        const ssize_t got = sys::read(inotify_, batch.bytes + batch.size, room);
        if (got > 0) batch.size += static_cast<size_t>(got);
        batch.last = batch.size <= sizeof batch.bytes - Batch::kLargest;
        batch.end = batch.half();
        if (!batch.last || batch.end == batch.size) return;
        // All there was has been read, and ends within a move: it may go on just now.
    }
    batch.end = batch.size;
}

void VnodeWatch::note(Entry& entry, uint32_t changes) {
    if (changes == 0) return;
    entry.told |= changes;
    if (!entry.linked()) untold_.push_back(&entry);
}

// Gives each event to the entries it concerns.
void VnodeWatch::sort(const Batch& batch) {
    for (size_t at = 0; at < batch.end;) {
        const inotify_event& event = batch.next(at);
        if ((event.mask & IN_Q_OVERFLOW) != 0) {
            entries_.for_each([this](Entry* e) { note(*e, kLost); });
            continue;
        }
        for (Entry* e = first(event.wd); e != nullptr; e = e->chain) {
            if (e->wd != event.wd) continue;
            const uint32_t mask = event.mask & e->mask;
            if ((event.mask & IN_IGNORED) != 0)
                note(*e, e->role == Role::self ? kGone : kUnknown);
            else if (e->role == Role::parent)
                note(*e, changes_above(event.mask, mask));
            else if ((event.mask & IN_UNMOUNT) != 0)
                note(*e, kUnmounted);
            else
                note(*e, event.len > 0 ? batch.changes_within(event, mask) : changes_of(mask));
        }
    }
}

void VnodeWatch::take(Tell tell, void* context) {
    // So many that all is taken that can be pending at once, unless somebody goes on writing.
    constexpr int kMostBatches = 256;
    if (inotify_ < 0) return;
    Batch batch;
    for (int i = 0; i < kMostBatches; i++) {
        removed_ = false;
        read_batch(batch);
        if (i == kMostBatches - 1) batch.end = batch.size;
        sort(batch);
        // Told last, one by one: tell() may change and drop entries, this one and others.
        while (!untold_.empty()) {
            Entry& entry = *untold_.front();
            entry.unlink();
            tell(context, entry.handle, std::exchange(entry.told, 0));
        }
        // What was dropped meanwhile leaves IN_IGNORED behind, which is to wake nobody.
        if (batch.last && !removed_) break;
    }
}

void VnodeWatch::close() {
    entries_.for_each([this](Entry* e) {
        if (e->linked()) e->unlink();
        entries_.remove(e);
        Owned<Entry>(e).reset();
    });
    sys::close_and_clear(inotify_);
}

void VnodeWatch::abandon_in_child() {
    sys::close_and_clear(inotify_);
}

}  // namespace kq
