// SPDX-License-Identifier: BSD-2-Clause
// What has to be looked at. See looked.h.
#include "looked.h"

#include <stdlib.h>

#include <algorithm>

#include "alloc.h"
#include "bell.h"
#include "files.h"
#include "platform.h"
#include "spent_edges.h"

namespace kq {

LookedAt::~LookedAt() {
    free(entries_);
}

LookedAt::Entry* LookedAt::find(int fd, Direction direction) {
    for (size_t i = 0; i < count_; i++)
        if (entries_[i].fd == fd && entries_[i].direction == direction) return &entries_[i];
    return nullptr;
}

void LookedAt::take_out(Entry& entry) {
    entry = entries_[--count_];
}

Errno LookedAt::set(int fd, Direction direction, Mode mode, Handle handle, bool queue) {
    Entry* entry = find(fd, direction);
    if (mode == Mode::none) {
        if (entry != nullptr) take_out(*entry);
        return Errno::ok;
    }
    if (entry == nullptr) {
        if (!grow_array(entries_, capacity_, count_ + 1)) return Errno::no_memory;
        entry = &entries_[count_++];
    }
    *entry = {fd, direction, mode, queue, handle, 0, 0, 0, 0, 0};
    return Errno::ok;
}

void LookedAt::remove(int fd) {
    for (const Direction d : {Direction::read, Direction::write})
        if (Entry* entry = find(fd, d)) take_out(*entry);
}

// If a kqueue itself looks at things, it cannot be seen from outside whether it has something. So
// it is reported now and then, and its events are counted then. Any other kqueue has an edge if its
// state has changed: a deadline that is over may bring nothing, be over again at the next look, and
// then bring something. If a deadline was reported, but no call has looked into the kqueue, it is
// reported once more.
bool LookedAt::is_news(Entry& entry, Nanos now) {
    const uint16_t before = entry.ready;
    const int64_t amount = entry.amount;
    if (entry.queue) {
        const Result<bells::News> seen = bells::news_of(entry.fd, now);
        bells::News news;
        if (seen.ok())
            news = seen.value();
        else
            news.some = true;  // it is closed: the core finds that out
        entry.ready = news.some ? kReadable : 0;
        if (!news.some) return false;
        if (news.sure) {
            entry.amount = static_cast<int64_t>(news.state);
            if (entry.mode != Mode::edge || entry.ready != before || entry.amount != amount)
                return true;
            if (!news.overdue) return false;
        }
        if (now - entry.looked_at < kPeriod) return false;
        entry.looked_at = now;
        return true;
    }
    entry.ready = descriptor::poll(entry.fd, entry.direction);
    entry.amount = entry.direction == Direction::read ? files::bytes_in_pipe(entry.fd) : 0;
    if (entry.direction == Direction::write && is_doubtful(entry, now)) return true;
    if (entry.ready == 0) return false;
    // Bits that are gone are no news: for example, all was read before the end.
    const bool more = (entry.ready & ~before) != 0 || entry.amount > amount;
    if (entry.mode != Mode::edge) return true;
    if (!more) return is_due_again(entry, entry.amount < amount, now);
    entry.delay = SpentEdges::kFirstDelay;
    entry.report_at = now + entry.delay;
    return true;
}

// The end of a pipe stays, and is no news.
bool LookedAt::is_due_again(Entry& entry, bool is_less, Nanos now) {
    if ((entry.ready & (kReadHangup | kHangup | kFailed)) != 0) return false;
    if (is_less) entry.report_at = std::min(entry.report_at, now + SpentEdges::kSuspicion);
    if (now < entry.report_at) return false;
    entry.delay = std::min(2 * entry.delay, SpentEdges::kLongestDelay);
    entry.report_at = now + entry.delay;
    return true;
}

// A pipe without free space is full, or has a reader that waits for as much as fits. In the second
// case both ends would wait for ever. So it is reported if that lasts.
bool LookedAt::is_doubtful(Entry& entry, Nanos now) {
    if (entry.ready != 0 || entry.looked_at == 0) entry.looked_at = now;
    if (now - entry.looked_at < kDoubt || !files::is_writing_end(entry.fd)) return false;
    entry.looked_at = now;
    entry.ready = kWritable;
    return true;
}

size_t LookedAt::look(std::span<Wakeup> out, Nanos now) {
    size_t written = 0;
    size_t i = start_ < count_ ? start_ : 0;
    for (size_t left = count_; left > 0 && written < out.size(); left--) {
        if (i >= count_) i = 0;
        Entry& entry = entries_[i];
        if (!is_news(entry, now)) {
            i++;
            continue;
        }
        out[written++] = {entry.handle, entry.ready, static_cast<uint8_t>(entry.direction)};
        if (entry.mode == Mode::once) entry.mode = Mode::none;
        i++;
    }
    start_ = i;
    // Only now, because another entry comes to the place of one that is taken out.
    for (size_t k = count_; k-- > 0;)
        if (entries_[k].mode == Mode::none) take_out(entries_[k]);
    return written;
}

}  // namespace kq
