// SPDX-License-Identifier: BSD-2-Clause
// Things that the library is not notified of: files, conditions that no kernel reports, data that
// an edge has left behind. They are looked at before a sleep, and now and then. See fd_filter.h.
// Everything here runs under the kqueue's mutex.
#include "fd_filter.h"

namespace kq::fd_filter {

using fd_watch::fd_of;
using fd_watch::watch_file;
using fd_watch::watch_of;

// ---- files ----

Verdict look_at_file(KnoteQueue& kq, FdKnote& kn, Sample& sample) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    const bool clear = (kn.flags & EV_CLEAR) != 0;
    Parking parking = Parking::idle;
    sample = descriptor::readable(fd, watch.facts, 0);
    if (!sample.closed && (kn.filter_bits & kWatched) == 0 && watch.facts.kind == FdKind::regular &&
        (!sample.active || clear)) {
        kn.filter_bits |= kWatched;
        if (watch_file(kq, fd, watch) != Errno::ok) {
            kn.filter_bits &= static_cast<uint8_t>(~kWatched);
            parking = Parking::recheck;
        }
        sample = descriptor::readable(fd, watch.facts, 0);  // more may have come since
    }
    if (sample.closed) return Verdict::gone;
    if (sample.untold) {
        kq.park(kn, Parking::recheck);
        return Verdict::parked;
    }
    if (watch.facts.file_untold) parking = Parking::recheck;
    // With EV_CLEAR a change is news. More to read than before is news, too: the user moved the
    // offset back. Less to read only shows that the program has read.
    const bool news = kn.ready == kChanged || sample.data > kn.data;
    kn.ready = 0;
    kn.data = static_cast<intptr_t>(sample.data);
    const bool report = sample.active && (news || !clear);
    if (!report || clear) kq.park(kn, parking);
    return report ? Verdict::report : Verdict::parked;
}

void look_again(KnoteQueue& kq, FdKnote& kn) {
    kn.ready = kChanged;
    if (kn.has(kQueued)) return;  // it is looked at when its turn comes
    kq.deactivate(kn);            // takes it off the parking list
    Sample sample;
    const bool parked = kn.filter == EVFILT_READ && look_at_file(kq, kn, sample) == Verdict::parked;
    if (parked) return;
    kn.ready = kChanged;
    kq.activate(kn);  // if it is gone, process() drops it
}

// ---- what an edge has left untold ----
//
// Sample::uncounted: two datagrams came, but there was one edge, with the size of the first. With
// EV_CLEAR a program that reads as much as `data` says leaves the second for ever. So after such a
// report the knote is looked at before the next sleep. Another size is another datagram. The same
// size may be the same datagram, if the program has not read it: that is reported again only after
// a while.

namespace {

constexpr uint16_t kLeftoverPeriod = 16;  // ticks of 1/60 s

uint16_t size_of(const Sample& sample) {
    return static_cast<uint16_t>(sample.data);
}

bool is_leftover_news(const FdKnote& kn, const Sample& sample) {
    if (size_of(sample) != (kn.fflags & UINT16_MAX)) return true;
    const auto age = static_cast<uint16_t>(coarse_tick() - (kn.fflags >> 16));
    return age >= kLeftoverPeriod;
}

}  // namespace

void watch_leftover(KnoteQueue& kq, FdKnote& kn, const Sample& sample) {
    // Only a plain EV_CLEAR knote needs this: it goes on by edges, so nothing else reports it
    // again.
    if ((kn.flags & (EV_CLEAR | EV_ONESHOT | EV_DISPATCH)) != EV_CLEAR || sample.eof) return;
    kn.fflags = (coarse_tick() & UINT16_MAX) << 16 | size_of(sample);
    kn.filter_bits |= kLeftover;
    kq.park(kn, Parking::idle);
}

// ---- the verb ----

void look_parked(KnoteQueue& kq, Knote& base) {
    auto& kn = static_cast<FdKnote&>(base);
    Sample sample;
    if ((kn.filter_bits & kUnpollable) != 0) {
        if (look_at_file(kq, kn, sample) == Verdict::parked) return;
        kn.ready = kChanged;
        kq.activate(kn);
        return;
    }
    if (fd_watch::follow_parked(kq, kn)) return;
    const Direction d = direction_of(kn);
    FdFacts& facts = watch_of(kq, kn).facts;
    kn.ready = descriptor::poll(fd_of(kn), d);
    kn.pass = kq.pass();
    sample = d == Direction::read ? descriptor::readable(fd_of(kn), facts, kn.ready)
                                  : descriptor::writable(fd_of(kn), facts, kn.ready);
    const bool ready = sample.closed || reached(kn, sample);
    if ((kn.filter_bits & kLeftover) != 0) {
        if (ready && !sample.closed && !is_leftover_news(kn, sample)) {
            kq.park(kn, Parking::recheck);
            return;
        }
        kn.sequence = kq.tick() - kOld;  // no kernel has reported that it still is that file
    }
    if (ready)
        kq.activate(kn);
    else if (needs_recheck(kn, sample))
        kq.park(kn, Parking::recheck);
}

}  // namespace kq::fd_filter
