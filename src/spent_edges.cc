// SPDX-License-Identifier: BSD-2-Clause
// EV_CLEAR by looking. See spent_edges.h.
#include "spent_edges.h"

#include <algorithm>

#include "check.h"

namespace kq {

SpentEdges::~SpentEdges() {
    free(edges_);
}

// Room is never given back, because all descriptors that were prepared may be spent at once.
Errno SpentEdges::prepare(int fd) {
    Place* place = places_.at(static_cast<size_t>(fd));
    if (place == nullptr) return Errno::no_memory;
    if (place->prepared) return Errno::ok;
    if (!grow_array(edges_, capacity_, (prepared_ + 1) * kDirections)) return Errno::no_memory;
    prepared_++;
    place->prepared = true;
    return Errno::ok;
}

void SpentEdges::add(int fd, Direction direction, Handle handle, const Look& look, Nanos now) {
    Place* place = places_.find(static_cast<size_t>(fd));
    KQ_CHECK(place != nullptr && place->prepared && count_ < capacity_);
    uint32_t& at = place->at[static_cast<size_t>(direction)];
    KQ_CHECK(at == 0);
    edges_[count_] = {fd,
                      direction,
                      look.ready,
                      handle,
                      look.amount,
                      kFirstDelay,
                      saturating_add(now, kFirstDelay)};
    at = static_cast<uint32_t>(++count_);
    plan(now, true);
}

bool SpentEdges::remove(int fd, Direction direction) {
    const Place* place = places_.find(static_cast<size_t>(fd));
    const uint32_t at = place == nullptr ? 0 : place->at[static_cast<size_t>(direction)];
    if (at == 0) return false;
    take_out(at - 1);
    if (count_ == 0) next_look_.store(kForever, std::memory_order_relaxed);
    return true;
}

void SpentEdges::take_out(size_t index) {
    const auto place_of = [this](const Edge& edge) -> uint32_t& {
        return places_.find(static_cast<size_t>(edge.fd))->at[static_cast<size_t>(edge.direction)];
    };
    place_of(edges_[index]) = 0;
    count_--;
    if (index == count_) return;
    edges_[index] = edges_[count_];
    place_of(edges_[index]) = static_cast<uint32_t>(index + 1);
}

// More than before is news, and so is another state (the peer has ended). If all was read and it is
// still ready, that is the end, which was hidden behind the data. Less than before is just the
// program's reading. But something may also have come between two looks, and been read.
bool SpentEdges::is_news(Edge& edge, const Look& seen, Nanos now) {
    const bool bare_end = edge.amount > 0 && seen.amount == 0 && (seen.ready & kHangup) == 0;
    const bool more = seen.amount > edge.amount || (seen.ready & ~edge.bits) != 0 || bare_end;
    if (seen.amount < edge.amount) {
        edge.report_at = std::min(edge.report_at, saturating_add(now, kSuspicion));
        edge.delay = kFirstDelay;
    }
    edge.amount = seen.amount;
    edge.bits = seen.ready;
    if (!more && now < edge.report_at) return false;
    edge.delay = more ? kFirstDelay : std::min(edge.delay * 2, kLongestDelay);
    edge.report_at = saturating_add(now, edge.delay);
    return true;
}

Wakeup SpentEdges::wakeup_of(const Edge& edge, const Look& seen) {
    return {edge.handle, seen.ready, static_cast<uint8_t>(edge.direction)};
}

void SpentEdges::plan(Nanos now, bool something_happened) {
    look_period_ = something_happened ? kShortestLook
                                      : std::min(look_period_ + look_period_ / 2, kLongestLook);
    const Nanos next = count_ == 0 ? kForever : saturating_add(now, look_period_);
    next_look_.store(next, std::memory_order_relaxed);
}

}  // namespace kq
