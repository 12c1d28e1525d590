// From what happened to a file to NOTE_ bits. See vnode_hints.h. No lock.
#include "vnode_hints.h"

#include <sys/event.h>

#include "check.h"

namespace kq::vnode {
namespace {

constexpr uint32_t kSubdirectories = kSubdirectoryChanged | kSubdirectoryMoved;
constexpr uint32_t kMovedEntries = kEntryMoved | kSubdirectoryMoved;
constexpr uint32_t kEntries = kEntryChanged | kSubdirectoryChanged | kMovedEntries | kEntryRenamed;
constexpr uint32_t kUnseen = kFileOpened | kFileClosed | kFileClosedWrite | kFileRead;

bool has(uint32_t bits, uint32_t any) {
    return (bits & any) != 0;
}

bool other_owner_or_mode(const FileState& a, const FileState& b) {
    return a.mode != b.mode || a.owner != b.owner || a.group != b.group;
}

// What must have happened for `old` to become `now`.
uint32_t compare(const FileState& old, const FileState& now) {
    uint32_t changes = 0;
    const bool written = old.modified != now.modified;
    if (now.directory) {
        const bool linked = old.links != now.links;
        if (written) changes |= linked ? kSubdirectoryChanged : kEntryChanged;
        if (now.links == 0) changes |= kRemoved;
    } else {
        if (written || old.size != now.size) changes |= kModified;
        if (old.links != now.links) changes |= kAttributes;
    }
    // A write sets both times to now; utimes() and the like make them differ.
    const bool touched = old.changed != now.changed && (!written || now.changed != now.modified);
    if (touched || other_owner_or_mode(old, now)) changes |= kAttributes;
    // A name that was removed looks like another one.
    if (old.name != 0 && now.name != 0 && old.name != now.name && now.links != 0) changes |= kMoved;
    return changes;
}

// The same, where it is better to say too much: a subdirectory that came and went leaves
// no trace but the time, a change of attributes before a write not even that.
uint32_t suspect(const FileState& old, const FileState& now) {
    uint32_t changes = compare(old, now) | kUnseen;
    if (old.changed != now.changed) changes |= kAttributes;
    if (has(changes, kEntries)) changes |= kMovedEntries;
    return changes;
}

void add_modified(Hints& hints, const FileState& old, const FileState& now) {
    if (now.size > old.size)
        hints.add(NOTE_WRITE | NOTE_EXTEND);
    else if (now.size < old.size)
        hints.add(NOTE_TRUNCATE | NOTE_ATTRIB);
    else
        hints.add(NOTE_WRITE);
}

// Kernels tell of links and attributes alike: what differs decides.
void add_attributes(Hints& hints, const FileState& old, const FileState& now, uint32_t changes) {
    const bool removed = now.links == 0 && old.links != 0;
    // The links of a directory are its subdirectories, of which it is told otherwise.
    const bool linked = !removed && now.links != old.links && !now.directory;
    if (removed) hints.add(NOTE_DELETE);
    if (!has(changes, kAttributes)) return;
    if (linked) hints.add(NOTE_LINK);
    const bool touched = old.modified != now.modified && !has(changes, kModified | kEntries);
    if ((!removed && !linked) || touched || other_owner_or_mode(old, now)) hints.add(NOTE_ATTRIB);
}

void add_entries(Hints& hints, const FileState& old, const FileState& now, uint32_t changes) {
    constexpr uint32_t kMove = NOTE_WRITE | NOTE_EXTEND;
    if (has(changes, kEntryChanged)) hints.add(NOTE_WRITE);
    if (has(changes, kSubdirectoryChanged)) hints.add(NOTE_WRITE | NOTE_LINK);
    if (has(changes, kEntryMoved)) hints.add(kMove);
    if (has(changes, kSubdirectoryMoved)) hints.add(kMove | NOTE_LINK);
    // Fewer links: it took the place of a directory.
    const bool replaced = old.links != now.links && !has(changes, kSubdirectories);
    if (has(changes, kEntryRenamed)) hints.add(replaced ? NOTE_WRITE | NOTE_LINK : NOTE_WRITE);
}

}  // namespace

void Hints::add(uint32_t bits) {
    KQ_CHECK(count < kMost);
    hint[count++] = bits;
}

Hints hints_for(const FileState& old, const FileState& now, uint32_t changes) {
    Hints hints;
    if (has(changes, kUnknown)) changes |= compare(old, now);
    if (has(changes, kLost)) changes |= suspect(old, now);
    if (has(changes, kModified) && !now.directory) add_modified(hints, old, now);
    if (has(changes, kAttributes | kRemoved)) add_attributes(hints, old, now, changes);
    add_entries(hints, old, now, changes);
    if (has(changes, kMoved)) hints.add(NOTE_RENAME);
    if (has(changes, kUnmounted)) hints.add(NOTE_REVOKE);
    if (has(changes, kFileOpened)) hints.add(NOTE_OPEN);
    if (has(changes, kFileRead)) hints.add(NOTE_READ);
    if (has(changes, kFileClosed)) hints.add(NOTE_CLOSE);
    if (has(changes, kFileClosedWrite)) hints.add(NOTE_CLOSE_WRITE);
    return hints;
}

FileState remember(const FileState& old, const FileState& now, uint32_t changes) {
    if (has(changes, kUnknown | kLost)) return now;
    FileState next = old;
    next.directory = now.directory;
    next.named = now.named;
    // The times belong to both: what is told of one must not look like the other.
    next.modified = now.modified;
    next.changed = now.changed;
    if (has(changes, kModified)) next.size = now.size;
    if (has(changes, kAttributes | kRemoved | kEntries)) next.links = now.links;
    if (has(changes, kAttributes)) {
        next.mode = now.mode;
        next.owner = now.owner;
        next.group = now.group;
    }
    if (has(changes, kMoved)) next.name = now.name;
    return next;
}

uint32_t changes_for(uint32_t notes, bool directory) {
    uint32_t changes = kUnmounted;
    if (has(notes, NOTE_DELETE)) changes |= kRemoved;
    if (has(notes, NOTE_ATTRIB)) changes |= kAttributes;
    if (has(notes, NOTE_RENAME)) changes |= kMoved;
    if (has(notes, NOTE_OPEN)) changes |= kFileOpened;
    if (has(notes, NOTE_CLOSE)) changes |= kFileClosed;
    if (has(notes, NOTE_CLOSE_WRITE)) changes |= kFileClosedWrite;
    if (has(notes, NOTE_READ)) changes |= kFileRead;
    if (directory) {
        if (has(notes, NOTE_WRITE)) changes |= kEntries;
        if (has(notes, NOTE_LINK)) changes |= kSubdirectories | kEntryRenamed;
        if (has(notes, NOTE_EXTEND)) changes |= kMovedEntries;
        return changes;
    }
    // A truncation is one of the attributes, too.
    if (has(notes, NOTE_WRITE | NOTE_EXTEND | NOTE_TRUNCATE | NOTE_ATTRIB)) changes |= kModified;
    if (has(notes, NOTE_LINK)) changes |= kAttributes;
    return changes;
}

}  // namespace kq::vnode
