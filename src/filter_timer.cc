// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_TIMER: periods and deadlines (semantics 5.9).
// Verbs of filter.h, under the kqueue's mutex. The source is the kqueue's
// TimerQueue; Kqueue::settle tells the backend the earliest deadline once a
// call, however many timers changed in it.
//
// A timer waits in the heap or is active, never both: what has expired since is
// computed when it is reported.
#include "filter.h"
#include "knote_queue.h"

namespace kq {
namespace {

// Knote::filter_bits
constexpr uint8_t kAskedOneshot = 1;  // EV_ONESHOT was given; not just implied by NOTE_ABSOLUTE

struct Request {
    Clock clock;
    Nanos span;  // a period, or a moment of the clock
};

// What a change asks for; invalid if it makes no sense.
KQ_INLINE Result<Request> parse(const struct kevent& change, bool oneshot) {
    const unsigned unit = change.fflags & ~unsigned{NOTE_ABSOLUTE};
    const bool absolute = (change.fflags & NOTE_ABSOLUTE) != 0;
    Nanos scale = 0;
    switch (unit) {
        case 0:
            scale = kMillisecond;
            break;
        case NOTE_SECONDS:
            scale = kSecond;
            break;
        case NOTE_USECONDS:
            scale = 1000;
            break;
        case NOTE_NSECONDS:
            scale = 1;
            break;
        default:
            return Errno::invalid;
    }
    if (change.data < 0 && !absolute) return Errno::invalid;
    // A period of nothing would be for ever expired: one unit.
    const intptr_t count = change.data == 0 && !absolute && !oneshot ? 1 : change.data;
    return Request{absolute ? Clock::realtime : Clock::monotonic, saturating_mul(count, scale)};
}

bool repeats(const TimerKnote& timer) {
    return (timer.flags & EV_ONESHOT) == 0;
}

void take_over(TimerKnote& timer, const Request& request) {
    timer.clock = request.clock;
    timer.span = request.span;
    // An absolute time comes once (D-16); the others as the creating EV_ADD said.
    const bool once = request.clock == Clock::realtime || (timer.filter_bits & kAskedOneshot) != 0;
    const unsigned others = timer.flags & ~unsigned{EV_ONESHOT};
    timer.flags = static_cast<uint16_t>(others | EV_CLEAR | (once ? EV_ONESHOT : 0u));
}

// When what was asked for at t is due.
Nanos due(const Request& request, Nanos t) {
    return request.clock == Clock::realtime ? request.span : saturating_add(t, request.span);
}

// Counts from t, which is now, also after EV_ENABLE (D-15). What is due already needs no
// kernel to say so.
void start(KnoteQueue& kq, TimerKnote& timer, Nanos t) KQ_REQUIRES(kq.mutex()) {
    timer.deadline = due({timer.clock, timer.span}, t);
    if (timer.deadline <= t)
        kq.activate(timer);
    else
        kq.timers().start(timer);
}

// Stops it and takes back an expiry that was not reported yet; t is now.
void stop(KnoteQueue& kq, TimerKnote& timer, Nanos t) KQ_REQUIRES(kq.mutex()) {
    if (timer.waiting() && timer.deadline <= t) kq.note_stray();
    kq.timers().stop(timer);
    kq.deactivate(timer);
}

// The same as stop() and start() where it only waits, and goes on waiting; false, and nothing was
// done, where not. A timeout that is pushed back again and again: R-249.
bool move(KnoteQueue& kq, TimerKnote& timer, const Request& request) KQ_REQUIRES(kq.mutex()) {
    if (!timer.waiting() || timer.status != 0 || request.clock != timer.clock) return false;
    const Nanos t = now(request.clock);
    const Nanos deadline = due(request, t);
    if (timer.deadline <= t || deadline <= t) return false;
    take_over(timer, request);
    kq.timers().move(timer, deadline);
    return true;
}

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_TIMER, ident);
}

Result<Knote*> create(KnoteQueue&, const struct kevent& change) {
    const bool oneshot = (change.flags & EV_ONESHOT) != 0;
    const Result<Request> request = parse(change, oneshot);
    if (!request.ok()) return request.error();
    Owned<TimerKnote> timer = make<TimerKnote>();
    if (!timer) return Errno::no_memory;
    timer->filter_bits = oneshot ? kAskedOneshot : 0;
    take_over(*timer, request.value());
    return timer.release();
}

Errno attach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    Errno error = kq.backend().prepare_clock(timer.clock);
    if (error != Errno::ok) return error;
    error = kq.timers().join(timer.clock);
    if (error != Errno::ok) return error;
    error = kq.index(kn);
    if (error != Errno::ok) {
        kq.timers().leave(timer.clock);
        return error;
    }
    if (!kn.has(kDisabled)) start(kq, timer, now(timer.clock));
    return Errno::ok;
}

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    stop(kq, timer, now(timer.clock));
    kq.timers().leave(timer.clock);
    kq.unindex(kn);
    return Errno::ok;
}

// EV_ADD again: discards what has expired and counts anew.
Errno modify(KnoteQueue& kq, Knote& kn, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    const Result<Request> request = parse(change, (timer.filter_bits & kAskedOneshot) != 0);
    if (!request.ok()) return request.error();
    if (move(kq, timer, request.value())) return Errno::ok;
    const Clock clock = request.value().clock;
    if (clock != timer.clock) {
        Errno error = kq.backend().prepare_clock(clock);
        if (error == Errno::ok) error = kq.timers().join(clock);
        if (error != Errno::ok) return error;
    }
    Nanos t = now(timer.clock);
    stop(kq, timer, t);
    if (clock != timer.clock) {
        kq.timers().leave(timer.clock);
        t = now(clock);
    }
    take_over(timer, request.value());
    if (!kn.has(kDisabled)) start(kq, timer, t);
    return Errno::ok;
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    start(kq, timer, now(timer.clock));
    return Errno::ok;
}

void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    stop(kq, timer, now(timer.clock));
}

Verdict process(KnoteQueue& kq, Knote& kn, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    event.data = timer.waiting() ? 0 : 1;  // waits only if the report was forced
    if (!timer.waiting() && repeats(timer)) {
        const int64_t ticks = catch_up(timer.deadline, timer.span, now(timer.clock));
        event.data = ticks > INTPTR_MAX ? INTPTR_MAX : static_cast<intptr_t>(ticks);
        kq.timers().start(timer);
    }
    return Verdict::report;
}

}  // namespace

constinit const FilterOps kTimerFilter = {
    "EVFILT_TIMER",         find,   never_added, create,  attach,  detach,
    destroy_as<TimerKnote>, modify, enable,      disable, process, nullptr,
};

}  // namespace kq
