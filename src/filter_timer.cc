// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_TIMER: periods and deadlines (semantics 5.9).
// Verbs of filter.h, under the kqueue's mutex. The source is the kqueue's
// TimerQueue; Kqueue::settle tells the backend the earliest deadline once a
// call, however many timers changed in it.
//
// A timer waits in the heap or is active, never both. How many periods have expired is computed
// when the event is reported.
//
// The hints of macOS (a leeway, other clocks) have code of their own, which runs only for timers
// with kHinted. So plain timers cost almost nothing more.
#include <algorithm>

#include "filter.h"
#include "filter_numbers.h"
#include "knote_queue.h"
#include "missing_filter.h"

namespace kq {
namespace {

// Knote::filter_bits
constexpr uint8_t kAskedOneshot = 1;  // EV_ONESHOT was given; not just implied by NOTE_ABSOLUTE
constexpr uint8_t kHinted = 2;        // has a leeway, or kMoment, or is on Clock::continuous
constexpr uint8_t kMoment = 4;        // `span` is a moment of a clock other than the wall clock

// NOTE_BACKGROUND: a delay that users hardly notice.
constexpr Nanos kBackgroundLeeway = 100 * kMillisecond;

struct Request {
    Clock clock;
    uint8_t hints;  // kHinted and kMoment
    Nanos span;     // a period, or a moment of the clock
    Nanos leeway;
};

// ---- what a change asks for ----

// Nanoseconds of the unit that the NOTE_ bits name; 0: they name none, or more than one.
Nanos scale_of(unsigned unit) {
    switch (unit) {
        case 0:
            return kMillisecond;
        case NOTE_SECONDS:
            return kSecond;
        case NOTE_USECONDS:
            return 1000;
        case NOTE_NSECONDS:
            return 1;
        default:
            return 0;
    }
}

// The same if fflags also has hints.
Nanos hinted_scale_of(unsigned fflags) {
    constexpr unsigned kNotUnits =
        NOTE_ABSOLUTE | NOTE_LEEWAY | NOTE_CRITICAL | NOTE_BACKGROUND | kNoteContinuous;
    const unsigned unit = fflags & ~kNotUnits;
    return unit == NOTE_MACHTIME ? 1 : scale_of(unit);
}

// What a change asks for, without its hints. invalid: the values make no sense.
Result<Request> parse_plain(const struct kevent& change, bool oneshot, Nanos scale) {
    const bool absolute = (change.fflags & NOTE_ABSOLUTE) != 0;
    if (change.data < 0 && !absolute) return Errno::invalid;
    // A period of 0 would expire all the time: it counts as one unit.
    const intptr_t count = change.data == 0 && !absolute && !oneshot ? 1 : change.data;
    const Clock clock = absolute ? Clock::realtime : Clock::monotonic;
    return Request{clock, 0, saturating_mul(count, scale), 0};
}

// The system has no clock that goes on while the machine is suspended, or no way to wait for it.
Errno refuse_continuous() {
    static constinit std::atomic<bool> said{false};
    say_missing_once("EVFILT_TIMER with NOTE_MACH_CONTINUOUS_TIME", said);
    return Errno::unsupported;
}

// The leeway in nanoseconds. `wanted`: the value of NOTE_LEEWAY in units of `scale` nanoseconds. If
// NOTE_BACKGROUND is also given, the larger leeway counts (macOS).
Nanos leeway_of(unsigned fflags, uint64_t wanted, Nanos scale, Nanos span) {
    Nanos leeway = 0;
    if ((fflags & (NOTE_BACKGROUND | NOTE_CRITICAL)) == NOTE_BACKGROUND)
        leeway =
            (fflags & NOTE_ABSOLUTE) != 0 ? kBackgroundLeeway : std::min(span, kBackgroundLeeway);
    const auto count = static_cast<Nanos>(std::min<uint64_t>(wanted, INT64_MAX));
    if ((fflags & NOTE_LEEWAY) != 0) leeway = std::max(leeway, saturating_mul(count, scale));
    return std::min(leeway, Nanos{TimerKnote::kMostLeeway});
}

[[gnu::noinline, gnu::cold]] Result<Request> parse_hints(KnoteQueue& kq,
                                                         const struct kevent& change, bool oneshot)
    KQ_REQUIRES(kq.mutex()) {
    const unsigned fflags = change.fflags;
    const Nanos scale = hinted_scale_of(fflags);
    if (scale == 0) return Errno::invalid;
    const Result<Request> plain = parse_plain(change, oneshot, scale);
    if (!plain.ok()) return plain;
    Request request = plain.value();
    request.hints = kHinted;
    request.leeway = leeway_of(fflags, kq.wide().second_ext(), scale, request.span);
    const bool absolute = (fflags & NOTE_ABSOLUTE) != 0;
    if (absolute && (fflags & NOTE_MACHTIME) != 0) {
        request.hints |= kMoment;
        request.clock = Clock::monotonic;
    }
    // An absolute time is on the wall clock, which goes on while the machine is suspended.
    if ((fflags & kNoteContinuous) != 0 && request.clock == Clock::monotonic) {
        if (!has_continuous_clock<Backend>()) return refuse_continuous();
        request.clock = Clock::continuous;
    }
    return request;
}

// What a change asks for. invalid: it makes no sense. unsupported: there is no such clock.
Result<Request> parse(KnoteQueue& kq, const struct kevent& change, bool oneshot)
    KQ_REQUIRES(kq.mutex()) {
    const Nanos scale = scale_of(change.fflags & ~unsigned{NOTE_ABSOLUTE});
    return scale == 0 ? parse_hints(kq, change, oneshot) : parse_plain(change, oneshot, scale);
}

// ---- a timer's life ----

bool repeats(const TimerKnote& timer) {
    return (timer.flags & EV_ONESHOT) == 0;
}
bool is_hinted(const TimerKnote& timer) {
    return (timer.filter_bits & kHinted) != 0;
}

// Copies a request into the timer, except its hints: they are in filter_bits already.
KQ_INLINE void take_over_plain(TimerKnote& timer, const Request& request) {
    timer.clock = request.clock;
    timer.span = request.span;
    // An absolute time fires once (D-16). Other timers fire once if the creating EV_ADD said so.
    const bool once =
        request.clock == Clock::realtime || (timer.filter_bits & (kAskedOneshot | kMoment)) != 0;
    const unsigned others = timer.flags & ~unsigned{EV_ONESHOT};
    timer.flags = static_cast<uint16_t>(others | EV_CLEAR | (once ? EV_ONESHOT : 0u));
}

[[gnu::noinline, gnu::cold]] void take_over_hints(TimerKnote& timer, const Request& request) {
    timer.set_leeway(request.leeway);
    timer.filter_bits =
        static_cast<uint8_t>((timer.filter_bits & kAskedOneshot) | unsigned{request.hints});
}

KQ_INLINE void take_over(TimerKnote& timer, const Request& request) {
    if (request.hints != 0 || is_hinted(timer)) take_over_hints(timer, request);
    take_over_plain(timer, request);
}

// When a timer is due that was asked for at t. Not for kMoment.
Nanos due(Clock clock, Nanos span, Nanos t) {
    return clock == Clock::realtime ? span : saturating_add(t, span);
}

void wait(KnoteQueue& kq, TimerKnote& timer) KQ_REQUIRES(kq.mutex()) {
    kq.timers().start(timer);
    if (timer.clock == Clock::continuous)
        settle_continuous(kq.backend(), kq.timers().earliest(timer.clock));
}

[[gnu::noinline, gnu::cold]] void start_hinted(KnoteQueue& kq, TimerKnote& timer, Nanos t)
    KQ_REQUIRES(kq.mutex()) {
    const bool moment = (timer.filter_bits & kMoment) != 0;
    timer.set_due(moment ? timer.span : due(timer.clock, timer.span, t));
    if (timer.due() <= t)
        kq.activate(timer);
    else
        wait(kq, timer);
}

// Starts the timer at t, which is now; after EV_ENABLE, too (D-15). A timer that is due already is
// activated at once, without the kernel.
void start(KnoteQueue& kq, TimerKnote& timer, Nanos t) KQ_REQUIRES(kq.mutex()) {
    if (is_hinted(timer)) return start_hinted(kq, timer, t);
    timer.deadline = due(timer.clock, timer.span, t);
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

// Has the effect of stop() and start() for a timer that waits and will go on waiting: a timeout
// that is pushed back again and again. False, and nothing was done, if the timer is not of
// that kind or has hints.
bool move(KnoteQueue& kq, TimerKnote& timer, const Request& request) KQ_REQUIRES(kq.mutex()) {
    if (!timer.waiting() || timer.status != 0 || request.clock != timer.clock) return false;
    if (is_hinted(timer) || request.hints != 0) return false;
    const Nanos t = now(request.clock);
    const Nanos deadline = due(request.clock, request.span, t);
    if (timer.deadline <= t || deadline <= t) return false;
    take_over_plain(timer, request);
    kq.timers().move(timer, deadline);
    return true;
}

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_TIMER, ident);
}

Result<Knote*> create(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    const bool oneshot = (change.flags & EV_ONESHOT) != 0;
    const Result<Request> request = parse(kq, change, oneshot);
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
    if (error != Errno::ok) return error == Errno::unsupported ? refuse_continuous() : error;
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
    const Result<Request> request = parse(kq, change, (timer.filter_bits & kAskedOneshot) != 0);
    if (!request.ok()) return request.error();
    if (move(kq, timer, request.value())) return Errno::ok;
    const Clock clock = request.value().clock;
    if (clock != timer.clock) {
        Errno error = kq.backend().prepare_clock(clock);
        if (error == Errno::unsupported) return refuse_continuous();
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

// How many periods have expired. The timer waits for the end of the next one.
int64_t count_ticks(KnoteQueue& kq, TimerKnote& timer) KQ_REQUIRES(kq.mutex()) {
    Nanos next = timer.due();
    const int64_t ticks = catch_up(next, timer.span, now(timer.clock));
    timer.set_due(next);
    wait(kq, timer);
    return ticks;
}

Verdict process(KnoteQueue& kq, Knote& kn, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    event.data = timer.waiting() ? 0 : 1;  // it still waits only if the report was forced
    if (!timer.waiting() && repeats(timer)) {
        const int64_t ticks = count_ticks(kq, timer);
        event.data = ticks > INTPTR_MAX ? INTPTR_MAX : static_cast<intptr_t>(ticks);
    }
    return Verdict::report;
}

}  // namespace

constinit const FilterOps kTimerFilter = {
    "EVFILT_TIMER",         find,   never_added, create,  attach,  detach,
    destroy_as<TimerKnote>, modify, enable,      disable, process, nullptr,
};

}  // namespace kq
