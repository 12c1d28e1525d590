// SPDX-License-Identifier: BSD-2-Clause
// Where a backend promises less than the rules, and exactly how much less: struct Relaxed. Without
// it each of these functions says what the rules say. See model.h.
#include <sys/event.h>

#include <algorithm>

#include "model/model.h"

namespace kqmodel {
namespace {

// P-EDGE: after this time an edge that stays ready may be reported again; sooner if there was less.
constexpr Nanos kAgain = 250'000'000;
constexpr Nanos kAgainIfLess = 20'000'000;

}  // namespace

// whether there is news for an EV_CLEAR knote.
// P-EDGE: the news is certain if a call after the report found it not ready, or if there is more to
// read than in any call since the report. Data that was read and came again between two calls may
// be missed. Without any news it may be reported again, but not soon.
Truth Model::edge(const Key& key, const Knote& kn) const {
    const Seen& seen = kn.seen;
    if (is_looked_for(key)) return state_news(key, kn);  // L-EMPTY, P-EXCEPT
    if (is_state(key.filter)) return kn.news;
    if (kn.file >= 0 && files_.flows(kn.file, key.filter == EVFILT_READ ? Side::read : Side::write))
        return Truth::maybe;
    if (!traits_.relaxed.edge || kn.file < 0 || seen.armed) return kn.news;
    const File& file = files_.file(kn.file);
    if (file.was_urgent) return Truth::maybe;  // P-DATA: the system counts up to the mark
    const bool reads = key.filter == EVFILT_READ;
    if (seen.hidden && file.bytes == 0) return Truth::yes;  // P-EOF: now it is seen
    if (kn.news == Truth::no) {
        const bool less = reads && (seen.less || file.bytes < seen.most);
        const Nanos since = now_.monotonic - seen.told;
        return since < (less ? kAgainIfLess : kAgain) ? Truth::no : Truth::maybe;
    }
    const bool more = (reads && file.bytes > seen.most) || (is_seen_gone(key, kn) && !seen.gone);
    return more ? kn.news : Truth::maybe;
}

void Model::edge_reported(const Key& key, Knote& kn) const {
    if (kn.file < 0) return;
    const File& file = files_.file(kn.file);
    const Seen seen_before = kn.seen;
    const int64_t bytes = key.filter == EVFILT_READ ? file.bytes : 0;
    // An earlier call, which had no room, may have collected it when there was more to read.
    kn.seen = {.armed = false,
               .gone = is_seen_gone(key, kn),
               .hidden = may_hide_end(key, kn),
               .less = bytes < seen_before.most,
               .most = bytes,
               .told = std::min(before_.monotonic, seen_before.arisen)};
}

// A call has looked at descriptors. `complete`: it had room, so it has looked at all of them.
void Model::look_at_edges(Queue& q, bool complete, const std::set<Key>& told) {
    if (!traits_.relaxed.edge) return;
    for (auto& [key, kn] : q.knotes) {
        if (key.filter != EVFILT_READ && key.filter != EVFILT_WRITE) continue;
        if (kn.file < 0 || kn.disabled || told.count(key) != 0) continue;
        const bool reads = key.filter == EVFILT_READ;
        const Truth ready = reads ? files_.readable(kn.file, 0) : files_.writable(kn.file);
        if (ready == Truth::no) {
            if (complete) kn.seen = {};
            continue;
        }
        // It is ready, and was not reported: no news, or below its mark, or no room. In the last
        // case it may have been collected.
        if (kn.news != Truth::no) kn.seen.arisen = std::min(kn.seen.arisen, before_.monotonic);
        const File& file = files_.file(kn.file);
        kn.seen.armed = false;
        kn.seen.gone = is_seen_gone(key, kn);
        kn.seen.hidden = may_hide_end(key, kn);
        kn.seen.less = kn.seen.less || file.bytes < kn.seen.most;
        kn.seen.most = std::max(kn.seen.most, file.bytes);
    }
}

// P-EOF: the library sees that the peer will send no more only when everything was read, or when
// this side will send no more either.
bool Model::may_hide_end(const Key& key, const Knote& kn) const {
    const bool reads = key.filter == EVFILT_READ || key.filter == kExcept;
    return reads && kn.file >= 0 && files_.may_hide_end(kn.file);
}

bool Model::is_seen_gone(const Key& key, const Knote& kn) const {
    return files_.file(kn.file).peer_gone && !may_hide_end(key, kn);
}

// W-REUSED: the writing end of a pipe has the number of an earlier writing end, and its reader was
// closed before the library looked at it. Then the library cannot tell the two pipes from each
// other, and the old knote goes on.
bool Model::may_be_old(const Queue& q, const Key& key) const {
    if (!traits_.relaxed.reused || !q.writer_dropped || key.ident >= kSlots) return false;
    if (key.filter != EVFILT_READ && key.filter != EVFILT_WRITE) return false;
    const int file = files_.at(key.ident);
    return q.knotes.count(key) == 0 && is_writer(file) && files_.file(file).peer_gone;
}

bool Model::is_writer(int file) const {
    return file >= 0 && files_.file(file).role == File::Role::writer;
}

// W-NEST: a queue that itself looks at pipes is looked at now and then.
bool Model::is_looked_at(const Queue& inner) const {
    return traits_.relaxed.nest &&
           std::any_of(inner.knotes.begin(), inner.knotes.end(), [this](const auto& at) {
               const int file = at.second.file;
               return file >= 0 && files_.file(file).role != File::Role::stream;
           });
}

// whether poll() finds the queue readable. P-POLL: that is certain only of what the library
// itself knows, which is triggered user events. P-EDGE: an edge that was reported and not armed
// since is found by looking, not by poll(). The same holds for an edge in a kqueue that is watched.
Truth Model::polled(const Key& key, const Knote& kn, Truth truth) const {
    const bool nested = kn.file < 0 && key.filter == EVFILT_READ;
    if (kn.waits) return std::min(truth, Truth::maybe);  // L-EMPTY: after a look
    if (traits_.relaxed.edge && nested) return std::min(truth, Truth::maybe);
    const bool spent = kn.has(EV_CLEAR) && !kn.seen.armed;
    const bool marked = (kn.fflags & NOTE_LOWAT) != 0;  // by edge as well: the kernel knows no mark
    if (traits_.relaxed.edge && kn.file >= 0 && (spent || marked))
        return std::min(truth, Truth::maybe);
    if (!traits_.relaxed.poll || key.filter == EVFILT_USER) return truth;
    return std::min(truth, Truth::maybe);
}

}  // namespace kqmodel
