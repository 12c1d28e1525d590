// SPDX-License-Identifier: BSD-2-Clause
// Looking at files. See file_watch.h.
#include "file_watch.h"

#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "alloc.h"
#include "file_stat.h"
#include "sys.h"

namespace kq {
namespace {

constexpr Nanos kInterval = 50 * kMillisecond;
constexpr Nanos kShortest = 1 * kMillisecond;
constexpr size_t kEachCall = 64;  // files in a row that have not changed
constexpr int kShare = 20;        // looking takes at most 1/kShare of the time

constinit std::atomic<Nanos> interval{kInterval};

bool differ(const FileState& a, const FileState& b) {
    return a.size != b.size || a.links != b.links || a.modified != b.modified ||
           a.changed != b.changed || a.mode != b.mode || a.owner != b.owner || a.group != b.group;
}

// What happened beside a rename. The rename itself sets a new time of changes, so that time says
// nothing. For directories the core compares.
uint32_t beside_move(const FileState& a, const FileState& b) {
    if (b.directory) return kUnknown;
    uint32_t changes = 0;
    if (a.size != b.size || a.modified != b.modified) changes |= kModified;
    if (a.links != b.links || a.mode != b.mode || a.owner != b.owner || a.group != b.group)
        changes |= kAttributes;
    return changes;
}

}  // namespace

Errno set_file_poll_interval(int64_t wanted) {
    if (wanted < 0) return Errno::invalid;
    interval.store(wanted == 0 ? kInterval : std::max(Nanos{wanted}, kShortest));
    return Errno::ok;
}

FileWatch::~FileWatch() {
    free(entries_);
}

int32_t FileWatch::take_entry() {
    if (unused_ != 0) {
        const int32_t index = unused_ - 1;
        unused_ = entries_[index].next;
        return index;
    }
    if (!grow_array(entries_, capacity_, count_ + 1)) return -1;
    return static_cast<int32_t>(count_++);
}

Errno FileWatch::set(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    if (wanted == 0) {
        if (facts.file_watch == 0) return Errno::ok;
        Entry& entry = entries_[facts.file_watch - 1];
        if (entry.changes != 0) changed_--;
        set_told(facts.file_watch, true);
        entry.fd = -1;
        entry.changes = 0;
        entry.next = unused_;
        unused_ = facts.file_watch;
        facts.file_watch = 0;
        return Errno::ok;
    }
    struct stat st {};
    if (sys::stat_number(fd, &st) != 0) return last_errno();
    if (facts.file_watch != 0)
        return entries_[facts.file_watch - 1].identity == identity_of(st) ? Errno::ok
                                                                          : Errno::no_entry;
    const int32_t index = take_entry();
    if (index < 0) return Errno::no_memory;
    Entry& entry = entries_[index];
    entry = Entry{fd, 0, handle, identity_of(st), 0, true, nanos_of(st.st_atim), {}};
    fill_state(st, entry.state);
    facts.file_watch = index + 1;
    facts.file_late = true;
    set_told(facts.file_watch, false);
    return Errno::ok;
}

void FileWatch::set_told(int32_t watch, bool told) {
    Entry& entry = entries_[watch - 1];
    if (entry.told == told) return;
    entry.told = told;
    if (told)
        looked_at_--;
    else if (looked_at_++ == 0)
        look_at_ = saturating_add(now(Clock::monotonic), interval.load());
}

void FileWatch::note(int32_t watch, uint32_t changes) {
    Entry& entry = entries_[watch - 1];
    const uint32_t before = entry.changes;
    const FileState old = entry.state;
    const uint32_t seen = look_at(entry);
    entry.changes |= changes | ((changes & kMoved) != 0 ? beside_move(old, entry.state) : seen);
    if (before == 0 && entry.changes != 0) changed_++;
}

const FileState& FileWatch::state(int32_t watch, Nanos& read) const {
    read = entries_[watch - 1].read;
    return entries_[watch - 1].state;
}

// What happened since the last look. If fd is another file now, the core finds that out itself.
uint32_t FileWatch::look_at(Entry& entry) {
    struct stat st {};
    if (sys::stat_number(entry.fd, &st) != 0 || identity_of(st) != entry.identity) return kUnknown;
    FileState state;
    fill_state(st, state);
    const Nanos read = nanos_of(st.st_atim);
    const bool changed = differ(state, entry.state);
    // All times are equal: the file was touched, or was written and read at once. Both are
    // reported, so that no knote misses what it asked for.
    const bool touched = state.modified != entry.state.modified && read != entry.read &&
                         read == state.modified && state.modified == state.changed;
    entry.state = state;
    entry.read = read;
    return !changed ? 0 : touched ? kUnknown | kAttributes : kUnknown;
}

bool FileWatch::look(Nanos t, bool early) {
    if (looked_at_ == 0) return changed_ > 0;
    const bool all = t >= look_at_;
    size_t left = all ? count_ : early ? kEachCall : 0;
    size_t looked = 0;
    for (; looked < count_ && left > 0; looked++, left--, turn_++) {
        if (turn_ >= count_) turn_ = 0;
        Entry& entry = entries_[turn_];
        if (entry.fd < 0 || entry.told || entry.changes != 0) continue;
        entry.changes = look_at(entry);
        if (entry.changes == 0) continue;
        changed_++;
        left = std::max(left, kEachCall + 1);  // where one has changed others may have, too
    }
    if (looked == count_) {
        const Nanos end = now(Clock::monotonic);
        look_at_ = saturating_add(end, std::max(interval.load(), (end - t) * kShare));
    }
    return changed_ > 0;
}

// tell() may add entries, which moves all of them, and may take any away.
void FileWatch::take(Tell tell, void* context) {
    (void)look(now(Clock::monotonic), true);
    for (size_t i = 0; i < count_ && changed_ > 0; i++) {
        const uint32_t changes = std::exchange(entries_[i].changes, 0);
        if (changes == 0) continue;
        changed_--;
        if (prepare_ != nullptr) prepare_(prepare_context_, static_cast<int32_t>(i + 1));
        tell(context, entries_[i].handle, changes);
    }
}

}  // namespace kq
