// SPDX-License-Identifier: BSD-2-Clause
// Why no event comes: what tracing says of the knotes of a kqueue, before a call sleeps and when it
// ends without an event. For people who look for a fault of their program.
//
// Each knote is looked at, and is not changed: tracing does not change what a program does. Only
// knotes of closed descriptors are dropped. Without tracing they are dropped somewhat later. An
// explanation is given once, and again when it has changed. Nothing here runs while tracing is off.
// Under the kqueue's mutex.
#include <inttypes.h>

#include <algorithm>
#include <atomic>

#include "farewell.h"
#include "fd_filter.h"
#include "kqueue.h"
#include "trace.h"

namespace kq {
namespace {

// How long a thread sleeps until it looks again. The condition of a knote may have become true
// without a report of the kernel, for example if the knote is disabled.
constexpr Nanos kLookAgain = 1 * kSecond;

// ---- what was said already ----

// The last explanation of each knote, for as many knotes as there is room. If two knotes share a
// place, each is explained again now and then, which does no harm. Any thread.
constexpr size_t kPlaces = 256;
constinit std::atomic<uint32_t> said[kPlaces]{};

uint32_t hash_of(const char* text) {
    uint32_t hash = 0;
    for (; *text != '\0'; text++)
        hash = (hash ^ static_cast<unsigned char>(*text)) * 16777619u;
    return hash;
}

// `why` is empty if there is nothing to explain.
void say_once(const KnoteQueue& kq, uint64_t key, const names::Text& why) {
    const uint64_t mixed = (key ^ kq.serial()) * 0x9e3779b97f4a7c15u;
    std::atomic<uint32_t>& place = said[(mixed >> 32) % kPlaces];
    const uint32_t hash = hash_of(why.c_str());
    if (place.exchange(hash, std::memory_order_relaxed) == hash || why.c_str()[0] == '\0') return;
    trace_line(TraceLevel::events, kq.descriptor(), why);
}

// ---- the reasons ----

void append_udata(names::Text& why, const Knote& kn) {
    if (kn.is_specific())
        why.append(" (udata 0x%" PRIxPTR ")", reinterpret_cast<uintptr_t>(kn.udata));
}

void begin(names::Text& why, const Knote& kn) {
    why.append("no event: %s %" PRIuPTR, names::name_of(kn.filter), kn.ident);
    if (kn.filter == EVFILT_SIGNAL) names::append_signal(why, kn.ident);
    append_udata(why, kn);
}

uint64_t key_of(const Knote& kn) {
    return kn.hash_key() ^ (kn.is_specific() ? reinterpret_cast<uintptr_t>(kn.udata) << 16 : 0);
}

const char* why_disabled(const Knote& kn) {
    return (kn.flags & EV_DISPATCH) != 0 ? "disabled, as EV_DISPATCH does after an event"
                                         : "disabled";
}

// The reasons that can be seen without asking a descriptor.
void explain_plainly(const Knote& kn, names::Text& why) {
    if (farewell::is_one(kn)) {
        why.append("no event: %s %" PRIuPTR, names::name_of(farewell::filter_before(kn)), kn.ident);
        append_udata(why, kn);
        why.append(" %s, and tells of that after EV_ENABLE",
                   farewell::is_deleted(kn) ? "was deleted while it was disabled" : "was closed");
        return;
    }
    const bool notes = kn.filter == EVFILT_VNODE || kn.filter == EVFILT_PROC;
    if (kn.has(kDisabled)) {
        begin(why, kn);
        why.append(kn.has(kActive) ? " has something to tell, but is %s" : " is %s",
                   why_disabled(kn));
    } else if (kn.filter == EVFILT_USER && !kn.has(kActive)) {
        begin(why, kn);
        why.append(" waits for a change with NOTE_TRIGGER");
    } else if (notes && kn.saved_fflags == 0 && !kn.has(kActive)) {
        begin(why, kn);
        why.append(": nothing is asked for in fflags");
    }
}

// A knote of EVFILT_READ or EVFILT_WRITE. `facts` is a copy, because the state that is seen here
// must not be remembered.
void explain_ready(FdKnote& kn, FdFacts facts, names::Text& why) {
    const bool reads = kn.filter == EVFILT_READ;
    const int fd = fd_watch::fd_of(kn);
    const uint16_t ready = descriptor::poll(fd, direction_of(kn));
    const Sample sample =
        reads ? descriptor::readable(fd, facts, ready) : descriptor::writable(fd, facts, ready);
    if (sample.closed) return;
    const bool right_end = reads ? facts.readable_end : facts.writable_end;
    if (facts.kind == FdKind::pipe && !right_end && !sample.eof) {
        begin(why, kn);
        why.append(" is never %s: it is the wrong end of a pipe", reads ? "readable" : "writable");
        return;
    }
    // The kernel is about to tell it, or waits for this call to end.
    if (!sample.active && !sample.eof) return;
    const bool marked = (kn.saved_fflags & NOTE_LOWAT) != 0;
    const bool reached = fd_filter::reached(kn, sample);
    const bool told = (kn.flags & EV_CLEAR) != 0 && !kn.has(kActive);
    if (!kn.has(kDisabled) && reached && !told) return;
    begin(why, kn);
    why.append(sample.eof ? " is at its end" : reads ? " is readable" : " is writable");
    // The free space changes all the time, and each change would make a new line.
    if ((reads || marked) && !sample.eof) why.append(" (%" PRId64 ")", sample.data);
    if (kn.has(kDisabled))
        why.append(", but %s", why_disabled(kn));
    else if (marked && !reached)
        why.append(", but below its mark of %" PRIdPTR, kn.data);
    else
        why.append(", but this was told already (EV_CLEAR), and nothing has come since");
}

// May drop the knotes: check_same() says so then.
void explain_descriptor(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    if (is_gone(fd_watch::check_same(kq, fd, watch))) return;
    for (Knote* kn = watch.notes; kn != nullptr; kn = kn->chain) {
        if (kn->has(kQueued)) continue;  // its turn comes
        const bool ready = kn->filter == EVFILT_READ || kn->filter == EVFILT_WRITE;
        names::Text why;
        if (ready && watch.facts.kind != FdKind::kqueue)
            explain_ready(static_cast<FdKnote&>(*kn), watch.facts, why);
        if (why.c_str()[0] == '\0') explain_plainly(*kn, why);
        say_once(kq, key_of(*kn), why);
    }
}

}  // namespace

void Kqueue::explain() {
    mutex_.lock();
    explain_knotes();
    settle_and_end(After::changes);  // a descriptor that was found to be closed may owe EV_VANISHED
}

void Kqueue::explain_knotes() {
    if (knotes_.load() == 0) {
        names::Text why;
        why.append("no event: nothing is watched");
        say_once(*this, 0, why);
        return;
    }
    watches_.for_each([this](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        if (watch.notes != nullptr) explain_descriptor(*this, static_cast<int>(fd), watch);
    });
    index_.for_each([this](const Knote* kn) KQ_NO_ANALYSIS {
        names::Text why;
        if (!kn->has(kQueued)) explain_plainly(*kn, why);
        say_once(*this, key_of(*kn), why);
    });
}

Nanos Kqueue::begin_traced_sleep(Nanos wait) {
    explain_knotes();
    const Nanos slice = std::min(wait, kLookAgain);
    trace_sleep(descriptor(), wait, slice);
    return slice;
}

}  // namespace kq
