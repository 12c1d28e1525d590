// SPDX-License-Identifier: BSD-2-Clause
// KQUEUE_CPONFORK: a kqueue of which a forked child gets a copy.
//
// fork() copies the memory: the child has the knotes, what is queued, and the deadlines. Only the
// kernel queue would be shared with the parent. So the child makes another one, gives it the same
// number, and opens every source again. It makes no call on the parent's kernel queue.
//
// Before the fork all reports are collected, so that the memory is the whole state. The new kernel
// queue reports each edge once more. Such a report is dropped if the state of the descriptor is the
// same as before the fork. If something has come in between, both processes are told.
//
// Called by registry_fork.cc: in the forking thread, or in the child, which has no other. The mutex
// of the kqueue is held from before the fork until all is done.
#include <limits.h>

#include <new>

#include "alloc.h"
#include "fd_filter.h"
#include "fd_state.h"
#include "kqueue.h"
#include "process_hub.h"
#include "registry.h"
#include "registry_lookup.h"
#include "trace.h"

namespace kq {

static_assert(Backend::kHas.fork && ForkContract<Backend>);

namespace {

// ---- edges that were reported before the fork ----

struct OldEdge {
    const KnoteQueue* queue;
    const Knote* knote;  // in the child it has the same address
    int fd;
    Direction direction;
    Sample said;
};

// Filled before a fork, and read in the child. Lock: the registry's.
struct OldEdges {
    OldEdge* edges = nullptr;
    size_t count = 0;
    size_t capacity = 0;
};
constinit OldEdges old_edges;

Sample ask(int fd, Direction d, FdFacts& facts) {
    const uint16_t ready = descriptor::poll(fd, d);
    return d == Direction::read ? descriptor::readable(fd, facts, ready)
                                : descriptor::writable(fd, facts, ready);
}

bool same(const Sample& a, const Sample& b) {
    return a.active == b.active && a.eof == b.eof && a.error == b.error && a.data == b.data;
}

bool waits(const Knote& kn) {
    return !kn.has(kQueued) && !kn.has(kDisabled) && !kn.has(kParked);
}

// Notes the state of a descriptor if knotes wait for an edge of it. If memory is short, the edge is
// reported once more in the child.
void note_edge(KnoteQueue& kq, int fd, FdWatch& watch, Direction d) KQ_REQUIRES(kq.mutex()) {
    if (watch.facts.armed_for(d) != Mode::edge || watch.facts.kind == FdKind::kqueue) return;
    const Knote* kn = fd_watch::note_of(watch, filter_of(d));
    while (kn != nullptr && !waits(*kn))
        kn = fd_watch::next_of(*kn);
    if (kn == nullptr) return;
    const Sample said = ask(fd, d, watch.facts);
    if (!said.active && !said.eof) return;
    OldEdges& old = old_edges;
    for (; kn != nullptr; kn = fd_watch::next_of(*kn)) {
        if (!waits(*kn)) continue;
        if (!grow_array(old.edges, old.capacity, old.count + 1)) return;
        old.edges[old.count++] = {&kq, kn, fd, d, said};
    }
}

void drop_old_edges(KnoteQueue& kq) KQ_REQUIRES(kq.mutex()) {
    for (size_t i = 0; i < old_edges.count; i++) {
        const OldEdge& old = old_edges.edges[i];
        FdWatch* watch =
            old.queue == &kq ? kq.watches().find(static_cast<size_t>(old.fd)) : nullptr;
        if (watch == nullptr) continue;
        Knote* kn = fd_watch::note_of(*watch, filter_of(old.direction));
        while (kn != nullptr && kn != old.knote)
            kn = fd_watch::next_of(*kn);
        if (kn != nullptr && kn->has(kQueued) &&
            same(old.said, ask(old.fd, old.direction, watch->facts)))
            kq.deactivate(*kn);
    }
}

// ---- in the child ----

// Forgets the registrations, because they are the parent's. Keeps which directions were armed.
void forsake_watch(FdFacts& facts) {
    facts.registered = 0;
    facts.file_watch = facts.parent_watch = 0;
    facts.file_shared = false;
}

// Whether a watched kqueue was inherited. If not, its number may be another file already.
bool is_inherited(int fd, const FdFacts& facts) {
    return registry::may_be_live(fd) && registry::serial_of(fd) == facts.identity;
}

Errno open_directions(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    // A one-shot that the kernel has reported waits for its turn, and is not armed again.
    uint8_t rearm = 0;
    for (const Direction d : {Direction::read, Direction::write}) {
        const auto i = static_cast<size_t>(d);
        if (watch.facts.armed[i] != Mode::none) rearm |= fd_watch::bit(d);
        watch.facts.armed[i] = Mode::none;
        watch.facts.lane[i] = 0;
    }
    const Errno error = fd_watch::tell_all(kq, fd, watch, rearm);
    // not_permitted: it is a file, which the core samples. This happens if one of several knotes
    // was disabled since it was made, and so was never tried.
    return error == Errno::not_permitted ? Errno::ok : error;
}

Errno open_file(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    bool any = fd_watch::note_of(watch, EVFILT_VNODE) != nullptr;
    for (const Knote* kn = fd_watch::note_of(watch, EVFILT_READ); kn != nullptr;
         kn = fd_watch::next_of(*kn))
        any = any || (kn->filter_bits & kWatched) != 0;
    return any ? fd_watch::watch_file(kq, fd, watch) : Errno::ok;
}

bool is_shortage(Errno error) {
    return error == Errno::too_many_open || error == Errno::too_many_open_in_system ||
           error == Errno::no_memory;
}

// Opens the sources of the knotes of one descriptor. If one of them cannot be opened, all these
// knotes are dropped. An error: descriptors or memory are short.
Errno open_watch(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    Errno error = Errno::ok;
    if (watch.facts.kind == FdKind::kqueue) {
        Mailbox* mailbox = kq.mailbox();
        if (mailbox == nullptr) return Errno::no_memory;
        mailbox->watches_queues.store(true);
        if (!is_inherited(fd, watch.facts)) error = Errno::bad_descriptor;
    } else if (watch.facts.identity != 0) {
        error = descriptor::check_same(fd, watch.facts);
        if (!is_gone(error) && !is_shortage(error)) error = Errno::ok;  // it cannot be told
    }
    if (error == Errno::ok) error = open_directions(kq, fd, watch);
    if (error == Errno::ok) error = open_file(kq, fd, watch);
    if (error == Errno::ok) error = fd_state::tell_again(kq, fd, watch);
    if (is_shortage(error)) return error;
    if (error != Errno::ok) {
        fd_watch::forget(kq, fd);
        return Errno::ok;
    }
    // Finds out what has happened to the file since the last look. Knotes of READ are parked, and
    // are looked at in any case. This comes last, because it may drop all knotes.
    fd_watch::look_at_vnodes(kq, fd_watch::handle_of(fd, watch), kUnknown);
    return Errno::ok;
}

}  // namespace

// ---- before the fork, and in the parent ----

bool Kqueue::prepare_copy() {
    call_.begin();
    if (!exists() || !collect(INT_MAX, false).ok()) return false;
    look_at(Parking::idle, ParkedKnotes::kAll);
    watches_.for_each([this](size_t number, FdWatch& watch) KQ_NO_ANALYSIS {
        if (watch.notes == nullptr) return;
        const int fd = static_cast<int>(number);
        if (is_gone(fd_watch::check_same(*this, fd, watch))) return;
        // The child needs to know which file it was, because the number may change hands until
        // then.
        if (!fd_watch::is_identified(watch.facts)) (void)descriptor::classify(fd, watch.facts);
        note_edge(*this, fd, watch, Direction::read);
        note_edge(*this, fd, watch, Direction::write);
    });
    return true;
}

void Kqueue::end_preparation() {
    settle(After::counting);
}

void Kqueue::forget_old_edges() {
    free(old_edges.edges);
    old_edges = OldEdges{};
}

// ---- in the child ----

void Kqueue::abandon_all_but_number() {
    backend_.abandon_all_but_number();
}

void Kqueue::forsake_parent() {
    if (mailbox_ != nullptr) {
        process_hub::forget(*mailbox_);
        mailbox::give_back(*mailbox_);
        mailbox_ = nullptr;
    }
    index_.for_each([this](Knote* kn) KQ_NO_ANALYSIS {
        const FilterOps* ops = ops_of(*kn);
        if (ops->forsake != nullptr) ops->forsake(*this, *kn);
    });
    watches_.for_each([](size_t /*fd*/, FdWatch& watch) { forsake_watch(watch.facts); });
    backend_.~Backend();
    ::new (static_cast<void*>(&backend_)) Backend;
    announcing_ = Announcing();
    ::new (static_cast<void*>(&promised_)) PromisedRings;
    renewal_ = RenewalIfAny();
    call_.begin();
    keep_serial();
}

Errno Kqueue::open_clocks() {
    for (size_t i = 0; i < kClocks; i++) {
        const auto clock = static_cast<Clock>(i);
        const bool parked = clock == Clock::monotonic && parked_.deadline() != kForever;
        if (!timers_.has_joined(clock) && !parked) continue;
        const Errno error = backend_.prepare_clock(clock);
        if (error != Errno::ok) return error;
    }
    timers_.note_moved();
    settle_continuous(backend_, timers_.earliest(Clock::continuous));
    return Errno::ok;
}

Errno Kqueue::open_sources() {
    Errno error = open_clocks();
    watches_.for_each([this, &error](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        fd_watch::forget_opened(*this);
        if (error == Errno::ok && watch.notes != nullptr)
            error = open_watch(*this, static_cast<int>(fd), watch);
    });
    index_.for_each([this, &error](Knote* kn) KQ_NO_ANALYSIS {
        const FilterOps* ops = ops_of(*kn);
        if (error != Errno::ok || ops->inherit == nullptr) return;
        const Errno answer = ops->inherit(*this, *kn);
        if (is_shortage(answer)) error = answer;
        if (answer == Errno::ok || is_shortage(answer)) return;
        unindex(*kn);
        free_detached(*kn);
    });
    return error;
}

Errno Kqueue::inherit() {
    const Errno error = open_sources();
    // The watches were looked at before the processes, so there is no stale watch that matters.
    fd_watch::forget_opened(*this);
    if (error != Errno::ok) return error;
    fd_state::hear_news(*this);
    (void)collect(INT_MAX, false);
    drop_old_edges(*this);
    settle(After::sleep);
    return Errno::ok;
}

Errno Kqueue::open_at(int number) {
    return backend_.open_at(number, serial_);
}

}  // namespace kq
