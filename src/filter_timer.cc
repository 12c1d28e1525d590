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
#include "filter_timer.h"
#include "knote_queue.h"
#include "missing_filter.h"

namespace kq {
namespace {

// Knote::filter_bits
constexpr uint8_t kAskedOneshot = 1;  // EV_ONESHOT was given; not just implied by NOTE_ABSOLUTE
constexpr uint8_t kHinted = 2;        // has a leeway, or kMoment, or is on Clock::continuous
constexpr uint8_t kMoment = 4;        // `span` is a moment of a clock other than the wall clock

constexpr uint8_t kExact = 8;  // NOTE_CRITICAL without NOTE_LEEWAY

// NOTE_BACKGROUND: a delay that users hardly notice.
constexpr Nanos kBackgroundLeeway = 100 * kMillisecond;

struct Request {
    Clock clock;
    uint8_t hints;  // kHinted, kMoment, kExact
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
KQ_INLINE Result<Request> parse_plain(const struct kevent& change, bool oneshot, Nanos scale) {
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
    if ((fflags & (NOTE_CRITICAL | NOTE_LEEWAY)) == NOTE_CRITICAL) request.hints |= kExact;
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

// Most timers are plain: a delay or a period in one of the usual units. plain_scale() returns that
// unit. 0: the change is of another kind, or makes no sense.
KQ_INLINE Nanos plain_scale(const struct kevent& change) {
    return change.data > 0 ? scale_of(change.fflags) : 0;
}

// What a change asks for. invalid: it makes no sense. unsupported: there is no such clock.
KQ_INLINE Result<Request> parse(KnoteQueue& kq, const struct kevent& change, bool oneshot)
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

// 1 if it must not wait for other timers, else 0.
int exact(const TimerKnote& timer) {
    return (timer.filter_bits & kExact) != 0 ? 1 : 0;
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
KQ_INLINE void start(KnoteQueue& kq, TimerKnote& timer, Nanos t) KQ_REQUIRES(kq.mutex()) {
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

// See push_back() in filter_timer.h. The clock and the kind of the timer do not change, and so its
// flags and hints do not change.
KQ_INLINE bool move(KnoteQueue& kq, TimerKnote& timer, const struct kevent& change)
    KQ_REQUIRES(kq.mutex()) {
    const Nanos scale = plain_scale(change);
    if (scale == 0 || !timer.waiting()) return false;
    if (timer.clock != Clock::monotonic || is_hinted(timer)) return false;
    const Nanos t = now(Clock::monotonic);
    const Nanos span = saturating_mul(change.data, scale);
    const Nanos deadline = saturating_add(t, span);
    if (timer.deadline <= t) return false;
    timer.span = span;
    kq.timers().move(timer, deadline);
    return true;
}

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_TIMER, ident);
}

// A new timer of a plain change; null when memory is short.
KQ_INLINE TimerKnote* make_plain(KnoteQueue& kq, const struct kevent& change, Nanos scale)
    KQ_REQUIRES(kq.mutex()) {
    auto* timer = kq.timer_knotes().make<TimerKnote>();
    if (timer == nullptr) return nullptr;
    timer->filter_bits = (change.flags & EV_ONESHOT) != 0 ? kAskedOneshot : 0;
    timer->flags = static_cast<uint16_t>((change.flags & EV_ONESHOT) | EV_CLEAR);
    timer->span = saturating_mul(change.data, scale);
    return timer;
}

[[gnu::noinline]] Result<Knote*> create_other(KnoteQueue& kq, const struct kevent& change)
    KQ_REQUIRES(kq.mutex()) {
    const bool oneshot = (change.flags & EV_ONESHOT) != 0;
    const Result<Request> request = parse(kq, change, oneshot);
    if (!request.ok()) return request.error();
    auto* timer = kq.timer_knotes().make<TimerKnote>();
    if (timer == nullptr) return Errno::no_memory;
    timer->filter_bits = oneshot ? kAskedOneshot : 0;
    take_over(*timer, request.value());
    return timer;
}

Result<Knote*> create(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    const Nanos scale = plain_scale(change);
    if (scale == 0) return create_other(kq, change);
    TimerKnote* timer = make_plain(kq, change, scale);
    if (timer == nullptr) return Errno::no_memory;
    return timer;
}

void destroy(KnoteQueue& kq, Knote* kn) KQ_REQUIRES(kq.mutex()) {
    kq.timer_knotes().destroy(static_cast<TimerKnote*>(kn));
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
    if (is_hinted(timer)) kq.timers().note_exact(exact(timer));
    if (!kn.has(kDisabled)) start(kq, timer, now(timer.clock));
    return Errno::ok;
}

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    stop(kq, timer, now(timer.clock));
    kq.timers().note_exact(-exact(timer));
    kq.timers().leave(timer.clock);
    kq.unindex(kn);
    return Errno::ok;
}

// EV_ADD again: discards what has expired and counts anew.
Errno modify(KnoteQueue& kq, Knote& kn, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    auto& timer = static_cast<TimerKnote&>(kn);
    if (timer.status == 0 && move(kq, timer, change)) return Errno::ok;
    const Result<Request> request = parse(kq, change, (timer.filter_bits & kAskedOneshot) != 0);
    if (!request.ok()) return request.error();
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
    kq.timers().note_exact(-exact(timer));
    take_over(timer, request.value());
    kq.timers().note_exact(exact(timer));
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

namespace timer {

bool push_back(KnoteQueue& kq, TimerKnote& timer, const struct kevent& change) {
    return move(kq, timer, change);
}

// All tests come first. Those that cost a system call come last of them. So the knote is filled in
// one go.
bool add_plain(KnoteQueue& kq, const struct kevent& change) {
    const Nanos scale = plain_scale(change);
    if (scale == 0 || !has_clock(kq.backend(), Clock::monotonic)) return false;
    if (!kq.has_index_room() || !kq.timer_knotes().has_room() || !kq.exists()) return false;
    if (!kq.timers().join_in_room(Clock::monotonic)) return false;
    const Nanos t = now(Clock::monotonic);
    TimerKnote* timer = make_plain(kq, change, scale);
    if (timer == nullptr) {
        kq.timers().leave(Clock::monotonic);
        return false;
    }
    timer->ident = change.ident;
    timer->filter = EVFILT_TIMER;
    timer->udata = change.udata;
    timer->flags = static_cast<uint16_t>(timer->flags | kept_flags(change.flags));
    timer->deadline = saturating_add(t, timer->span);
    kq.index_in_room(*timer);
    kq.timers().start(*timer);
    kq.note_made();
    return true;
}

}  // namespace timer

constinit const FilterOps kTimerFilter = {
    "EVFILT_TIMER", find,   never_added, create,  attach,  detach,
    destroy,        modify, enable,      disable, process, nullptr,
};

}  // namespace kq
