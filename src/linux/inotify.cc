// SPDX-License-Identifier: BSD-2-Clause
// An inotify instance. See inotify.h. Lock: mutex() of the instance.
#include "inotify.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#include <atomic>
#include <utility>

#include "alloc.h"
#include "own_file.h"
#include "proc_path.h"
#include "sys.h"
#include "vnodes.h"

namespace kq {
namespace {

constexpr uint32_t kMoves = IN_MOVED_FROM | IN_MOVED_TO;

// The changes in an event without a name, which is about the file itself.
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

// The changes of a directory that the watch of its parent reports: a directory in the parent was
// removed, or another one took its place.
uint32_t changes_above(uint32_t event, uint32_t mask) {
    const bool removed = (mask & (IN_DELETE | IN_MOVED_TO)) != 0 && (event & IN_ISDIR) != 0;
    return removed ? uint32_t{kRemoved} : 0;
}

// The change if an entry came from, or went to, another directory.
uint32_t moved(bool directory) {
    return directory ? kSubdirectoryMoved : kEntryMoved;
}

// /proc/self/fd/N was not found. If N is open, this says so once.
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

const char* tail_of(Inotify::Role role) {
    return role == Inotify::Role::parent ? "/.." : "";
}

int32_t add_watch(int inotify, int fd, Inotify::Role role, uint32_t mask) {
    const ProcPath path(fd, tail_of(role));
    for (;;) {
        const int32_t wd = inotify_add_watch(inotify, path.text, mask);
        if (wd >= 0 || errno != EINTR) return wd;  // as sys::fstat()
    }
}

}  // namespace

// ---- the instance ----

Inotify::~Inotify() {
    entries_.for_each([this](Entry* e) {
        if (e->linked()) e->unlink();
        entries_.remove(e);
        Owned<Entry>(e).reset();
    });
    own_file::close(inotify_, this);
}

Errno Inotify::open() {
    inotify_ = own_file::keep(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), this);
    return inotify_ < 0 ? last_errno() : Errno::ok;
}

bool Inotify::exists() const {
    return !own_file::is_lost(inotify_, this);
}

void Inotify::close_in_child() {
    own_file::close(inotify_, this);
}

// ---- entries ----

Inotify::Entry* Inotify::first(int32_t wd) const {
    return entries_.find(static_cast<uint32_t>(wd), [wd](const Entry& e) { return e.wd == wd; });
}

Inotify::Entry* Inotify::find(const VnodeWatch& owner, int32_t wd, Handle handle, Role role) const {
    return entries_.find(static_cast<uint32_t>(wd), [&owner, wd, handle, role](const Entry& e) {
        return e.wd == wd && e.owner == &owner && e.role == role &&
               e.handle.bits() == handle.bits();
    });
}

uint32_t Inotify::union_of(int32_t wd) const {
    uint32_t mask = 0;
    for (const Entry* e = first(wd); e != nullptr; e = e->chain)
        if (e->wd == wd) mask |= e->mask;
    return mask;
}

// Fails if the file is gone: then its watch is gone, too.
void Inotify::remove(int32_t wd) {
    if (inotify_rm_watch(inotify_, wd) == 0) removed_ = true;
}

// Reduces the kernel's mask of a watch to what its entries want.
void Inotify::settle(int32_t wd) {
    const uint32_t mask = union_of(wd);
    for (const Entry* e = first(wd); e != nullptr; e = e->chain) {
        if (e->wd != wd) continue;
        const int32_t got = add_watch(inotify_, e->fd, e->role, mask);
        if (got == wd) return;
        if (got < 0) continue;
        // This descriptor is another file now, which is found out elsewhere: undo.
        const uint32_t others = union_of(got);
        if (others == 0)
            remove(got);
        else
            (void)add_watch(inotify_, e->fd, e->role, others | IN_MASK_ADD);
    }
    if (mask == 0) remove(wd);
}

void Inotify::drop(Entry& entry) {
    const int32_t wd = entry.wd;
    const bool ended = entry.ended;
    const uint32_t before = union_of(wd);
    if (entry.linked()) entry.unlink();
    if (entry.other != nullptr) entry.other->other = nullptr;
    entries_.remove(&entry);
    Owned<Entry>(&entry).reset();
    if (!ended && union_of(wd) != before) settle(wd);
}

void Inotify::drop_all(const VnodeWatch& owner) {
    entries_.for_each([this, &owner](Entry* e) {
        if (e->owner == &owner) drop(*e);
    });
}

// Sets another mask for a descriptor that is watched.
Errno Inotify::change(Entry& entry, int fd, uint32_t mask) {
    const uint32_t old = std::exchange(entry.mask, mask);
    const int32_t got = add_watch(inotify_, fd, entry.role, union_of(entry.wd));
    if (got == entry.wd) return Errno::ok;
    const Errno error = got < 0 ? reason(fd) : Errno::no_entry;
    entry.mask = old;
    if (got >= 0) settle(got);  // fd is another file now
    return error;
}

Errno Inotify::set(VnodeWatch& owner, int fd, Role role, uint32_t mask, Handle handle, int32_t& wd,
                   bool& shared) {
    Entry* old = wd == 0 ? nullptr : find(owner, wd, handle, role);
    KQ_CHECK((old != nullptr) == (wd != 0));
    if (mask == 0) {
        wd = 0;
        if (old != nullptr) drop(*old);
        return Errno::ok;
    }
    if (old != nullptr && role == Role::self && !old->ended) {
        shared = shared || (mask & ~old->mask) != 0;
        return old->mask == mask ? Errno::ok : change(*old, fd, mask);
    }
    Owned<Entry> entry = make<Entry>();
    if (!entry || !entries_.reserve()) return Errno::no_memory;
    const int32_t got = add_watch(inotify_, fd, role, mask | IN_MASK_ADD);
    if (got < 0) return reason(fd);
    if (got == wd) return Errno::ok;  // it has the same parent as before
    shared = shared || (role == Role::self && first(got) != nullptr);
    entry->owner = &owner;
    entry->wd = wd = got;
    entry->fd = fd;
    entry->mask = mask;
    entry->role = role;
    entry->handle = handle;
    entries_.insert(entry.release());
    if (old != nullptr) drop(*old);  // a directory that was moved, or a watch that ended
    return Errno::ok;
}

void Inotify::pair(const VnodeWatch& owner, Handle handle, int32_t self, int32_t parent) {
    Entry* below = find(owner, self, handle, Role::self);
    Entry* above = find(owner, parent, handle, Role::parent);
    KQ_CHECK(below != nullptr && above != nullptr);
    below->other = above;
    above->other = below;
}

// ---- events ----

// The first half of a move: an entry left a directory.
struct Inotify::Half {
    uint32_t cookie;
    int32_t wd;
    bool directory;
};

// The halves whose other half was not read yet. Two halves follow each other in the queue, except
// for what other processes do at the same moment. So a few places are enough.
struct Inotify::Halves {
    static constexpr size_t kMost = 8;
    Half half[kMost];
    size_t count = 0;
    int32_t arrival = -1;  // where a directory was moved to, if the last event said so

    Half take(size_t at) {
        const Half taken = half[at];
        count--;
        memmove(half + at, half + at + 1, (count - at) * sizeof *half);
        return taken;
    }
};

void Inotify::note(Entry& entry, uint32_t changes, const VnodeWatch& reader) {
    if (changes == 0) return;
    // The kernel merges equal events that follow each other. So these were two events, and another
    // event came between them.
    if ((entry.told & changes & kAttributes) != 0) changes |= kAttributesAgain;
    entry.told |= changes;
    if (!entry.linked()) entry.owner->add_untold(entry, reader);
}

// Tells of a half of a move whose other half did not come: the other directory is not watched, or
// has another watch.
void Inotify::tell_half(const Half& half, const VnodeWatch& reader) {
    for (Entry* e = first(half.wd); e != nullptr; e = e->chain)
        if (e->wd == half.wd && e->role == Role::self && (e->mask & kMoves) != 0)
            note(*e, moved(half.directory), reader);
}

// The changes of a directory that are reported now for a move. If an entry leaves, nothing is
// reported yet, because the entry may come back under another name.
uint32_t Inotify::place_move(const inotify_event& event, Halves& halves, const VnodeWatch& reader) {
    const bool directory = (event.mask & IN_ISDIR) != 0;
    if ((event.mask & IN_MOVED_FROM) != 0) {
        if (halves.count == Halves::kMost) tell_half(halves.take(0), reader);
        halves.half[halves.count++] = {event.cookie, event.wd, directory};
        return 0;
    }
    for (size_t i = 0; i < halves.count; i++) {
        if (halves.half[i].cookie != event.cookie) continue;
        const Half from = halves.take(i);
        if (from.wd == event.wd) return kEntryRenamed;
        tell_half(from, reader);
        break;
    }
    return moved(directory);
}

// The kernel removed the watch because the inode has no name left; the file may still be open. The
// entries of a removed directory were removed or moved before, and were told of that themselves.
void Inotify::end(Entry& entry, const VnodeWatch& reader) {
    entry.ended = true;
    note(entry, entry.role == Role::self ? kGone : kRemoved, reader);
}

// What a watch tells of the file itself. `move` is returned if the event is a move.
uint32_t Inotify::changes_itself(const inotify_event& event, const Entry& entry, uint32_t move,
                                 const Halves& halves) {
    const uint32_t mask = event.mask & entry.mask;
    if ((event.mask & IN_UNMOUNT) != 0) return kUnmounted;
    if (event.len == 0) {
        const bool arrived = entry.other != nullptr && entry.other->wd == halves.arrival;
        return arrived && (mask & IN_ATTRIB) != 0 ? kReplaced : changes_of(mask);
    }
    if ((mask & (IN_CREATE | IN_DELETE)) != 0)
        return (event.mask & IN_ISDIR) != 0 ? kSubdirectoryChanged : kEntryChanged;
    return (mask & kMoves) != 0 ? move : 0;  // else something happened to a child, not to us
}

// Gives an event to the entries that it concerns.
void Inotify::sort(const inotify_event& event, Halves& halves, const VnodeWatch& reader) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
        entries_.for_each([&reader](Entry* e) { note(*e, kLost, reader); });
        return;
    }
    const bool directory = (event.mask & IN_ISDIR) != 0;
    const uint32_t move =
        (event.mask & kMoves) != 0 ? place_move(event, halves, reader) : uint32_t{0};
    for (Entry* e = first(event.wd); e != nullptr; e = e->chain) {
        if (e->wd != event.wd) continue;
        if ((event.mask & IN_IGNORED) != 0)
            end(*e, reader);
        else if (e->role == Role::parent)
            note(*e, changes_above(event.mask, event.mask & e->mask), reader);
        else
            note(*e, changes_itself(event, *e, move, halves), reader);
    }
    // If this directory takes the place of another, an "attributes" event comes next.
    halves.arrival = directory && (event.mask & IN_MOVED_TO) != 0 ? event.wd : -1;
}

// Reads are small, to save the caller's stack. A read returns whole events only.
constexpr size_t kPart = 2048;
constexpr size_t kLargest = sizeof(inotify_event) + 256;  // with the longest name

// Sorts what a read of kPart bytes has answered. True if there may be more.
[[gnu::noinline]] bool Inotify::sort_all(const char* bytes, ssize_t got, Halves& halves,
                                         const VnodeWatch& reader) {
    if (got <= 0) return false;
    const auto size = static_cast<size_t>(got);
    for (size_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(bytes + at);
        sort(*event, halves, reader);
        at += sizeof *event + event->len;
    }
    return size > kPart - kLargest;
}

[[gnu::noinline]] bool Inotify::read_some(Halves& halves, const VnodeWatch& reader) {
    alignas(inotify_event) char bytes[kPart];
    return sort_all(bytes, sys::read(inotify_, bytes, sizeof bytes), halves, reader);
}

// Goes on reading after the first part. `more`: the answer of sort_all() for the first part.
void Inotify::read_rest(Halves& halves, bool more, const VnodeWatch& reader) {
    // So many reads take all that can be pending at once, unless other processes go on making
    // changes.
    constexpr int kMostReads = 2048;
    bool again = false;
    for (int i = 1; i < kMostReads; i++) {
        if (!more) {
            // All events were read. If the last one is the first half of a move, the second half
            // may come now.
            if (halves.count == 0 || again) break;
            again = true;
        }
        more = read_some(halves, reader);
    }
    while (halves.count > 0)
        tell_half(halves.take(0), reader);
}

void Inotify::read_all(const VnodeWatch& reader) {
    removed_ = false;
    Halves halves;
    read_rest(halves, read_some(halves, reader), reader);
}

// ---- one event alone ----

// The only entry that an event concerns, if the event says only that a file was written, the entry
// is the reader's, and nothing else is told of its descriptor. Otherwise null. Follows the rules of
// sort() and note().
Inotify::Entry* Inotify::written_entry(const inotify_event& event, const VnodeWatch& reader) const {
    if (event.mask != IN_MODIFY) return nullptr;
    Entry* const entry = first(event.wd);
    if (entry == nullptr) return nullptr;
    for (const Entry* e = entry->chain; e != nullptr; e = e->chain)
        if (e->wd == event.wd) return nullptr;  // several descriptors of the file
    const bool wanted = entry->role == Role::self && (entry->mask & IN_MODIFY) != 0;
    const bool alone = entry->other == nullptr && !entry->linked();
    return wanted && alone && entry->owner == &reader ? entry : nullptr;
}

// Reads the first part. Returns the entry that read_write() returns. Null: the part was sorted.
[[gnu::noinline]] Inotify::Entry* Inotify::read_one(Halves& halves, bool& more,
                                                    const VnodeWatch& reader) {
    alignas(inotify_event) char bytes[kPart];
    const ssize_t got = sys::read(inotify_, bytes, sizeof bytes);
    if (got == sizeof(inotify_event)) {
        Entry* entry = written_entry(*reinterpret_cast<const inotify_event*>(bytes), reader);
        if (entry != nullptr) return entry;
    }
    more = sort_all(bytes, got, halves, reader);
    return nullptr;
}

Inotify::Entry* Inotify::read_write(const VnodeWatch& reader) {
    removed_ = false;
    Halves halves;
    bool more = false;
    Entry* entry = read_one(halves, more, reader);
    if (entry == nullptr) read_rest(halves, more, reader);
    return entry;
}

}  // namespace kq
