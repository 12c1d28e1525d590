// SPDX-License-Identifier: BSD-2-Clause
// Translates what happened to a file into NOTE_ bits. See vnode_hints.h. No lock.
#include "vnode_hints.h"

#include <sys/event.h>

#include "check.h"

namespace kq::vnode {
namespace {

constexpr uint32_t kSubdirectories = kSubdirectoryChanged | kSubdirectoryMoved;
constexpr uint32_t kMovedEntries = kEntryMoved | kSubdirectoryMoved;
constexpr uint32_t kEntries = kEntryChanged | kSubdirectoryChanged | kMovedEntries | kEntryRenamed;
constexpr uint32_t kUnseen = kFileOpened | kFileClosed | kFileClosedWrite | kFileRead;

constexpr uint64_t kLinksOfEmpty = 2;  // of a directory: its name, and "."

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
    const bool gone = now.links == 0 && old.links != 0;
    if (now.directory) {
        // A directory is empty when it is removed: its subdirectories were removed before.
        const bool linked = gone ? old.links > kLinksOfEmpty : old.links != now.links;
        if (written || (linked && !gone)) changes |= linked ? kSubdirectoryChanged : kEntryChanged;
        if (gone) changes |= kRemoved;
    } else {
        if (written || old.size != now.size) changes |= kModified;
        if (old.links != now.links) changes |= kAttributes;
    }
    // A write sets both times to now; utimes() and the like make them differ. The removal of a
    // directory makes them differ, too.
    const bool touched = old.changed != now.changed && (!written || now.changed != now.modified) &&
                         !(now.directory && gone);
    if (touched || other_owner_or_mode(old, now)) changes |= kAttributes;
    // If the name was removed, it only looks like another name.
    if (old.name != 0 && now.name != 0 && old.name != now.name && now.links != 0) changes |= kMoved;
    return changes;
}

// As compare(), but says too much rather than too little: a subdirectory that came and went leaves
// no trace except the time, and a change of attributes before a write leaves none.
uint32_t suspect(const FileState& old, const FileState& now) {
    uint32_t changes = compare(old, now) | kUnseen;
    if (old.changed != now.changed) changes |= kAttributes;
    if (has(changes, kEntries)) changes |= kMovedEntries;
    return changes;
}

void add_modified(Hints& hints, const FileState& old, const FileState& now) {
    if (now.size > old.size) {
        hints.add(NOTE_WRITE | NOTE_EXTEND);
        return;
    }
    if (now.size < old.size) hints.add(NOTE_TRUNCATE | NOTE_ATTRIB);
    // Also for a file that shrank: to replace the contents by shorter ones a program truncates and
    // writes, and kernels report both as one.
    hints.add(NOTE_WRITE);
}

// What kReplaced stands for, now that we know whether the directory is gone.
uint32_t decide(const FileState& now, uint32_t changes) {
    return has(changes, kReplaced) && now.links != 0 ? changes | kAttributes : changes;
}

// Whether a reported change of attributes is one: for files, kernels report links in the same way.
bool other_attributes(const FileState& old, const FileState& now, uint32_t changes) {
    if (now.directory || now.links == old.links || other_owner_or_mode(old, now)) return true;
    // It was reported twice, and one link more or less explains only one of the reports.
    const bool by_one = now.links + 1 == old.links || old.links + 1 == now.links;
    if (has(changes, kAttributesAgain) && by_one) return true;
    return old.modified != now.modified && !has(changes, kModified);
}

void add_attributes(Hints& hints, const FileState& old, const FileState& now, uint32_t changes) {
    const bool removed = now.links == 0 && old.links != 0;
    // For a directory, after any report: the report of its removal may still come, and would find
    // these links already remembered.
    if (removed && (now.directory || has(changes, kAttributes | kRemoved))) hints.add(NOTE_DELETE);
    if (!has(changes, kAttributes)) return;
    // The links of a directory are its subdirectories, which are reported otherwise.
    if (!removed && now.links != old.links && !now.directory) hints.add(NOTE_LINK);
    if (other_attributes(old, now, changes)) hints.add(NOTE_ATTRIB);
}

void add_entries(Hints& hints, const FileState& old, const FileState& now, uint32_t changes) {
    constexpr uint32_t kMove = NOTE_WRITE | NOTE_EXTEND;
    if (has(changes, kEntryChanged)) hints.add(NOTE_WRITE);
    if (has(changes, kSubdirectoryChanged)) hints.add(NOTE_WRITE | NOTE_LINK);
    if (has(changes, kEntryMoved)) hints.add(kMove);
    if (has(changes, kSubdirectoryMoved)) hints.add(kMove | NOTE_LINK);
    // Fewer links: the entry took the place of a directory.
    const bool linked = old.links != now.links && now.links != 0;
    const bool replaced = linked && !has(changes, kSubdirectories);
    if (has(changes, kEntryRenamed)) hints.add(replaced ? NOTE_WRITE | NOTE_LINK : NOTE_WRITE);
}

}  // namespace

void Hints::add(uint32_t bits) {
    KQ_CHECK(count < kMost);
    hint[count++] = bits;
}

Hints hints_for(const FileState& old, const FileState& now, uint32_t changes) {
    Hints hints;
    changes = decide(now, changes);
    if (has(changes, kUnknown)) changes |= compare(old, now);
    if (has(changes, kLost)) changes |= suspect(old, now);
    if (has(changes, kModified) && !now.directory) add_modified(hints, old, now);
    add_attributes(hints, old, now, changes);
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
    changes = decide(now, changes);
    FileState next = old;
    next.directory = now.directory;
    next.named = now.named;
    // The times belong to contents and attributes alike: a report of one must not look like the
    // other.
    next.modified = now.modified;
    next.changed = now.changed;
    if (has(changes, kModified)) next.size = now.size;
    if (now.directory) {
        // Entries that are no directories leave the links alone. So if the links differ, that still
        // has to be reported. A directory that is gone was reported as gone.
        if (has(changes, kSubdirectories | kEntryRenamed) || now.links == 0) next.links = now.links;
    } else if (has(changes, kAttributes | kRemoved)) {
        next.links = now.links;
    }
    if (has(changes, kAttributes)) {
        next.mode = now.mode;
        next.owner = now.owner;
        next.group = now.group;
    }
    if (has(changes, kMoved)) next.name = now.name;
    return next;
}

FileState follow(const FileState& old, const FileState& now, uint32_t before, uint32_t wanted) {
    const uint32_t fresh = wanted & ~before;
    // Whether these are followed from now on, and none of them was before.
    const auto begins = [fresh, before](uint32_t any) {
        return has(fresh, any) && !has(before, any);
    };
    FileState next = old;
    if (begins(kModified | kEntries)) {
        next.size = now.size;
        next.modified = now.modified;
    }
    if (begins(kAttributes)) {
        next.changed = now.changed;
        next.mode = now.mode;
        next.owner = now.owner;
        next.group = now.group;
    }
    const bool is_gone = now.links == 0;
    if (now.directory ? (is_gone ? begins(kRemoved) : begins(kEntryRenamed))
                      : begins(kAttributes | kRemoved))
        next.links = now.links;
    if (begins(kMoved)) next.name = now.name;
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
    // A truncation is a change of attributes, too.
    if (has(notes, NOTE_WRITE | NOTE_EXTEND | NOTE_TRUNCATE | NOTE_ATTRIB)) changes |= kModified;
    if (has(notes, NOTE_LINK)) changes |= kAttributes;
    return changes;
}

}  // namespace kq::vnode
