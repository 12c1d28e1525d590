// SPDX-License-Identifier: BSD-2-Clause
// Where a backend promises less than the rules, and just how much less: struct Relaxed. Without it
// each of these functions says what the rules say. See model.h.
#include <sys/event.h>

#include <algorithm>

#include "model/model.h"

namespace kqmodel {
namespace {

// P-EDGE: when an edge that stays ready may be reported again, by how it looks.
constexpr Nanos kAgain = 250'000'000;
constexpr Nanos kAgainIfLess = 20'000'000;

}  // namespace

// whether there is news for an EV_CLEAR knote.
// P-EDGE: certainly so if it was not ready in some call meanwhile, or more is to be read than in
// any call since the report. What was read and came again between two calls may be missed; and
// without any news it may be reported again, but not soon.
Truth Model::edge(const Key& key, const Knote& kn) const {
    const Seen& seen = kn.seen;
    if (!traits_.relaxed.edge || kn.file < 0 || seen.armed) return kn.news;
    const File& file = files_.file(kn.file);
    const bool reads = key.filter == EVFILT_READ;
    if (seen.hidden && file.bytes == 0) return Truth::yes;  // P-EOF: now it is seen
    if (kn.news == Truth::no) {
        const bool less = reads && (seen.less || file.bytes < seen.most);
        const Nanos since = now_.monotonic - seen.told;
        return since < (less ? kAgainIfLess : kAgain) ? Truth::no : Truth::maybe;
    }
    const bool more = (reads && file.bytes > seen.most) || (file.peer_gone && !seen.gone);
    return more ? kn.news : Truth::maybe;
}

void Model::edge_reported(const Key& key, Knote& kn) const {
    if (kn.file < 0) return;
    const File& file = files_.file(kn.file);
    const Seen seen_before = kn.seen;
    kn.seen = {.armed = false,
               .gone = file.peer_gone,
               .hidden = may_hide_end(key, kn),
               .less = false,
               .most = key.filter == EVFILT_READ ? file.bytes : 0,
               .told = std::min(before_.monotonic, seen_before.arisen)};
}

// A call has looked at the descriptors, at all of them if it had room.
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
        // It is ready, and was not reported: no news, or below its mark.
        const File& file = files_.file(kn.file);
        kn.seen.armed = false;
        kn.seen.gone = file.peer_gone;
        kn.seen.hidden = may_hide_end(key, kn);
        kn.seen.less = kn.seen.less || file.bytes < kn.seen.most;
        kn.seen.most = std::max(kn.seen.most, file.bytes);
    }
}

// P-EOF: that the peer will send no more is seen when everything was read, or when this side will
// send no more either.
bool Model::may_hide_end(const Key& key, const Knote& kn) const {
    if (!traits_.relaxed.eof || key.filter != EVFILT_READ || kn.file < 0) return false;
    const File& file = files_.file(kn.file);
    return file.bytes > 0 && file.finished && !file.peer_gone && !file.shut;
}

// whether poll() tells.
// P-POLL: of what the library itself knows, which of these is what was triggered.
// P-EDGE: an edge that was reported and not armed since is found by looking, not by poll(); so is
// one in a kqueue that is watched.
Truth Model::polled(const Key& key, const Knote& kn, Truth truth) const {
    const bool nested = kn.file < 0 && key.filter == EVFILT_READ;
    if (traits_.relaxed.edge && nested) return std::min(truth, Truth::maybe);
    const bool spent = kn.has(EV_CLEAR) && !kn.seen.armed;
    const bool marked = (kn.fflags & NOTE_LOWAT) != 0;  // by edge, too: the kernel knows no mark
    if (traits_.relaxed.edge && kn.file >= 0 && (spent || marked))
        return std::min(truth, Truth::maybe);
    if (!traits_.relaxed.poll || key.filter == EVFILT_USER) return truth;
    return std::min(truth, Truth::maybe);
}

}  // namespace kqmodel
