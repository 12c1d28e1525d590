// SPDX-License-Identifier: BSD-2-Clause
// The interest in descriptors. See poller.h; waiting is in poller_wait.cc.
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "amount.h"
#include "fd_identity.h"
#include "nest.h"
#include "pending_signals.h"
#include "poll_bits.h"
#include "poller_snapshot.h"
#include "sys.h"

namespace kq {
namespace {

// An edge that stays ready is reported again after kFirstDelay, and then ever later, up to
// kLongestDelay. Until then a program waits if it emptied what was filled again at once. If there
// is less to read than before, that may have happened: kSuspicion.
constexpr Nanos kFirstDelay = 250 * kMillisecond;
constexpr Nanos kLongestDelay = 2 * kSecond;
constexpr Nanos kSuspicion = 20 * kMillisecond;

// How often the spent set is looked at while a thread sleeps.
constexpr Nanos kShortestLook = 20 * kMillisecond;
constexpr Nanos kLongestLook = 100 * kMillisecond;

constexpr short kEither = POLLHUP | POLLERR | POLLNVAL;

// Whether fd is a listener, which has waiting connections. There is no call for their number.
bool counts_connections(int fd, const FdFacts& facts) {
    const bool stream = facts.kind == FdKind::tcp || facts.kind == FdKind::unix_stream ||
                        facts.kind == FdKind::stream || facts.kind == FdKind::seqpacket;
    return stream && amount::readable(fd) < 0;
}

// The first delay of an edge that stays ready. It is shorter where the system cannot count what can
// be read: connections.
Nanos first_delay(const PollItem& item) {
    return item.countless ? kSuspicion : kFirstDelay;
}

// If this grows there is news: the bytes that can be read, or the rings of a kqueue.
int64_t amount_of(const PollItem& item, int fd) {
    if (item.direction == Direction::write) return 0;
    if (!item.queue) return amount::readable(fd);
    const Doorbell* bell = doorbell::find(fd);
    return bell == nullptr ? 0 : bell->rings.load();
}

// An edge is reported now. Notes what it is compared with from now on.
void note_edge(PollItem& item, const pollfd& fd, Nanos now) {
    item.seen = fd.revents;
    item.amount = amount_of(item, fd.fd);
    item.delay = first_delay(item);
    item.due = now + item.delay;
}

// Whether there is news of an entry that was reported and is still ready.
bool is_news(PollItem& item, const pollfd& fd, Nanos now) {
    const bool other = (fd.revents & ~item.seen) != 0;
    item.seen = fd.revents;
    const int64_t amount = amount_of(item, fd.fd);
    // All was read, and it is still ready: that is the end, which was hidden behind the bytes.
    const bool bare_end = amount == 0 && item.amount > 0 && (fd.revents & kEither) == 0;
    const bool more = amount > item.amount || (bare_end && !item.queue);
    if (amount < item.amount && item.due > now + kSuspicion) {
        item.due = now + kSuspicion;
        item.delay = kFirstDelay / 2;
    }
    item.amount = amount;
    if (other || more) {
        item.delay = first_delay(item);
    } else {
        if (now < item.due) return false;
        if (!item.queue) item.delay = std::min(item.delay * 2, kLongestDelay);
    }
    item.due = now + item.delay;
    return true;
}

}  // namespace

Errno Poller::open(Doorbell& bell) {
    const Guard guard(mutex_);
    if (!armed_.reserve(1)) return Errno::no_memory;
    bell_ = &bell;
    (void)armed_.add({bell.in.load(), POLLIN, 0}, PollItem{});
    return Errno::ok;
}

// ---- registering ----

bool Poller::is_same(int fd) {
    const Place* place = places_.find(static_cast<size_t>(fd));
    uint32_t identity = 0;
    return place != nullptr && identify(fd, identity) && place->identity == identity;
}

Errno Poller::still(int fd, FdFacts& facts) {
    if (is_same(fd)) return Errno::ok;
    uint32_t identity = 0;
    const Errno error = identify(fd, identity) ? Errno::no_entry : Errno::bad_descriptor;
    const Guard guard(mutex_);
    forget(fd);
    facts.registered = 0;
    return error;
}

// Before a descriptor gets its first entry.
Errno Poller::begin(int fd, FdFacts& facts, Place& place, bool& queue) {
    struct stat st {};
    if (sys::stat_number(fd, &st) != 0) return last_errno();
    if (facts.kind == FdKind::unknown) {
        const Errno error = descriptor::classify(fd, facts);
        if (error != Errno::ok) return error;
    }
    // poll() always calls these ready.
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) return Errno::not_permitted;
    if (S_ISFIFO(st.st_mode)) {
        if (doorbell::is_end_of(*bell_, fd)) return Errno::invalid;
        const Doorbell* bell = doorbell::find(fd);
        queue = bell != nullptr;
        if (queue && nest::check(*this, fd) != Errno::ok) return Errno::too_many_links;
    }
    place.identity = identity_of_end(fd, st);
    return Errno::ok;
}

// Registers one direction anew.
Errno Poller::set(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts) {
    Place* place = places_.at(static_cast<size_t>(fd));
    if (place == nullptr) return Errno::no_memory;
    PollItem item{};
    item.handle = handle;
    item.mode = mode;
    item.direction = d;
    if (facts.registered == 0) {
        const Errno error = begin(fd, facts, *place, item.queue);
        if (error != Errno::ok) return error;
    } else {
        item.queue = doorbell::find(fd) != nullptr;
    }
    const bool reads = d == Direction::read;
    item.countless = item.queue || (reads && counts_connections(fd, facts));
    const Guard guard(mutex_);
    const size_t all = armed_.count() + spent_.count() + 1;
    if (!armed_.reserve(all) || !spent_.reserve(all)) return Errno::no_memory;
    take_out(fd, d);
    facts.registered &= static_cast<uint8_t>(~bit(d));
    if (mode == Mode::none) return Errno::ok;
    facts.registered |= bit(d);
    put_in(armed_, {fd, events_for(d), 0}, item);
    if (item.queue) queues_++;
    changed();
    return Errno::ok;
}

Errno Poller::watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts) {
    if (facts.registered != 0) {
        const Errno error = still(fd, facts);
        if (error != Errno::ok) return error;
    }
    for (const Direction d : {Direction::write, Direction::read}) {
        const bool has = (facts.registered & bit(d)) != 0;
        if (want[d] == facts.armed_for(d) && (rearm & bit(d)) == 0) continue;
        if (!has && want[d] == Mode::none) continue;
        const Errno error = set(fd, d, want[d], handle, facts);
        if (error != Errno::ok) return error;
    }
    for (size_t d = 0; d < kDirections; d++) {
        facts.armed[d] = want.mode[d];
        facts.lane[d] = static_cast<uint8_t>(d);
    }
    return Errno::ok;
}

// ---- entries ----

// The armed set has changed: it is not the one that sleeping threads know.
void Poller::changed() {
    version_++;
    wake_sleepers_if_any();
}

void Poller::put_in(PollSet& set, const pollfd& fd, const PollItem& item) {
    const size_t i = set.add(fd, item);
    Place* place = places_.find(static_cast<size_t>(fd.fd));
    place->at[static_cast<size_t>(item.direction)] =
        static_cast<uint32_t>(1 + 2 * i + (&set == &spent_ ? 1 : 0));
}

void Poller::take_out(int fd, Direction d) {
    Place* place = places_.find(static_cast<size_t>(fd));
    uint32_t& at = place->at[static_cast<size_t>(d)];
    if (at == 0) return;
    const bool spent = (at - 1) % 2 != 0;
    PollSet& set = spent ? spent_ : armed_;
    const size_t i = (at - 1) / 2;
    if (set.item(i).queue) queues_--;
    const uint32_t where = at;
    at = 0;
    if (!spent) version_++;
    if (!set.remove(i)) return;
    Place* moved = places_.find(static_cast<size_t>(set.fds()[i].fd));
    moved->at[static_cast<size_t>(set.item(i).direction)] = where;
}

void Poller::forget(int fd) {
    if (places_.find(static_cast<size_t>(fd)) == nullptr) return;
    take_out(fd, Direction::read);
    take_out(fd, Direction::write);
    places_.find(static_cast<size_t>(fd))->identity = 0;
}

// ---- collecting ----

// Whether an entry has something to report. PollItem::verdict says what happens to the entry.
bool Poller::report(PollSet& set, size_t i, Nanos now, Wakeup& out) {
    pollfd& fd = set.fds()[i];
    PollItem& item = set.item(i);
    const auto concerns = static_cast<short>(kEither | fd.events);
    if (item.queue && item.has_events) fd.revents |= POLLIN;
    if ((fd.revents & concerns) == 0) {
        if (&set == &spent_) item.verdict = arm;
        return false;
    }
    const bool news = &set == &armed_ || is_news(item, fd, now);
    if (!news) return false;
    // The number that is ready may be another file now.
    if ((fd.revents & POLLNVAL) != 0 || !is_same(fd.fd)) {
        item.verdict = gone;
        out = {item.handle, kClosed, static_cast<uint8_t>(item.direction)};
        return true;
    }
    out.handle = item.handle;
    out.ready = to_ready(fd.revents);
    out.lane = static_cast<uint8_t>(item.direction);
    if (&set == &spent_ || item.mode == Mode::level) return true;
    if (item.mode == Mode::edge) note_edge(item, fd, now);
    item.verdict = item.mode == Mode::edge ? spend : remove;
    return true;
}

// From the end: an entry that moves into a free place was looked at already.
void Poller::sort_out(PollSet& set, size_t first) {
    for (size_t i = set.count(); i-- > first;) {
        if (i >= set.count()) continue;
        const pollfd fd = set.fds()[i];
        PollItem item = set.item(i);
        const auto verdict = static_cast<Verdict>(item.verdict);
        if (verdict == stays) continue;
        if (verdict == gone) {
            forget(fd.fd);
            continue;
        }
        item.verdict = stays;
        take_out(fd.fd, item.direction);
        if (verdict == remove) continue;
        put_in(verdict == spend ? spent_ : armed_, fd, item);
        if (item.queue) queues_++;
        if (verdict == arm) changed();
    }
}

// Not under the leaf lock, because this takes the leaf locks of other kqueues. Entries change only
// under the kqueue's mutex.
void Poller::look_at_queues() KQ_NO_ANALYSIS {
    for (PollSet* set : {&armed_, &spent_})
        for (size_t i = 0; queues_ > 0 && i < set->count(); i++)
            if (set->item(i).queue) set->item(i).has_events = nest::is_ready(set->fds()[i].fd);
}

Result<size_t> Poller::collect(std::span<Wakeup> out, bool& rung) {
    const Nanos t = now(Clock::monotonic);
    look_at_queues();
    const Guard guard(mutex_);
    if (sys::poll_at_once(armed_.fds(), armed_.count()) < 0) return last_errno();
    if (spent_.count() > 0 && sys::poll_at_once(spent_.fds(), spent_.count()) < 0)
        return last_errno();
    rung = (armed_.fds()[0].revents & POLLIN) != 0;
    // In turn: each call begins where the last one ended.
    const size_t armed = armed_.count() - 1;
    const size_t all = armed + spent_.count();
    const bool had_spent = spent_.count() > 0;
    size_t count = 0;
    size_t looked = 0;
    for (; looked < all && count < out.size(); looked++) {
        const size_t i = (start_ + looked) % all;
        const bool told = i < armed ? report(armed_, 1 + i, t, out[count])
                                    : report(spent_, i - armed, t, out[count]);
        if (told) count++;
    }
    if (all > 0) start_ = (start_ + looked) % all;
    // Even if there was no room to look at all: entries that are no longer ready are armed again.
    const size_t before = spent_.count();
    sort_out(armed_, 1);
    sort_out(spent_, 0);
    if (spent_.count() == 0) {
        spent_at_.store(kForever);
    } else {
        const bool same = had_spent && before == spent_.count() && count == 0;
        look_period_ = !same                         ? kShortestLook
                       : look_period_ < kLongestLook ? look_period_ + look_period_ / 2
                                                     : kLongestLook;
        spent_at_.store(t + look_period_);
    }
    return count;
}

bool Poller::is_ready(int depth) {
    const Nanos t = now(Clock::monotonic);
    if (deadline(Clock::monotonic) <= t || next_look() <= t ||
        deadline(Clock::realtime) <= now(Clock::realtime) ||
        (hears_signals_.load() && pending_signals::are_news()))
        return true;
    {
        const Guard guard(mutex_);
        if (sys::poll_at_once(armed_.fds(), armed_.count()) > 0 || spent_has_news(t)) return true;
    }
    int number = -1;
    for (size_t i = 0; next_queue(false, i, number); i++)
        if (nest::is_ready_below(number, depth)) return true;
    return false;
}

// Whether collect() would find an edge, for a kqueue that watches this one. Kqueues in the set are
// judged by their rings only.
bool Poller::spent_has_news(Nanos t) {
    if (spent_.count() == 0 || sys::poll_at_once(spent_.fds(), spent_.count()) <= 0) return false;
    for (size_t i = 0; i < spent_.count(); i++) {
        PollItem item = spent_.item(i);
        const pollfd& fd = spent_.fds()[i];
        if ((fd.revents & (kEither | fd.events)) != 0 && is_news(item, fd, t)) return true;
    }
    return false;
}

// Finds the next entry from `i` on that is a kqueue. No lock is held while that one is asked.
bool Poller::next_queue(bool spent, size_t& i, int& number) {
    const Guard guard(mutex_);
    PollSet& set = spent ? spent_ : armed_;
    for (; queues_ > 0 && i < set.count(); i++) {
        if (!set.item(i).queue) continue;
        number = set.fds()[i].fd;
        return true;
    }
    return false;
}

int Poller::depth(const Poller& self, int limit) {
    int deepest = 0;
    int number = -1;
    for (const bool spent : {false, true})
        for (size_t i = 0; next_queue(spent, i, number); i++)
            deepest = std::max(deepest, nest::depth_below(number, self, limit));
    return deepest;
}

}  // namespace kq
