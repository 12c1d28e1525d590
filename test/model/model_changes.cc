// SPDX-License-Identifier: BSD-2-Clause
// The changelist: semantics 2.1, 2.2 and 3, and 5.9 and 5.10 for timers and user events. See
// model.h.
#include <sys/event.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "model/model.h"

namespace kqmodel {
namespace {

constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

Nanos times(int64_t count, Nanos unit) {
    Nanos product = 0;
    return __builtin_mul_overflow(count, unit, &product) ? kNever : product;
}

bool is_known(int filter) {
    return is_descriptor(filter) || filter == EVFILT_USER || filter == EVFILT_TIMER;
}

bool has(const Entry& entry, unsigned flag) {
    return (entry.flags & flag) != 0;
}

// D-11: EV_ENABLE or EV_DISABLE without EV_ADD does not change what the filter was asked, except if
// the change has NOTE_TRIGGER.
bool leaves_request(const Entry& entry) {
    const bool triggers = entry.filter == EVFILT_USER && (entry.fflags & NOTE_TRIGGER) != 0;
    return !has(entry, EV_ADD) && has(entry, EV_ENABLE | EV_DISABLE) && !triggers;
}

}  // namespace

// 2.1 step 4, 2.2: each failure and each receipt takes a slot. When there is no slot the call ends.
Model::Answer Model::apply(int queue, const std::vector<Entry>& changes, int room) {
    Answer answer;
    for (const Entry& entry : changes) {
        const int error = change(queue, entry);
        if (error == 0 && !has(entry, EV_RECEIPT)) continue;
        if (answer.result == room) {  // a receipt: R-36, D-43
            answer.stopped = true;
            if (error != 0) answer = {-1, error, {}, true};
            return answer;
        }
        Entry reply = entry;  // D-1: all as given, but
        reply.flags |= EV_ERROR;
        reply.data = error;
        answer.entries.push_back(reply);
        answer.result++;
    }
    answer.stopped = answer.result > 0 || room == 0;  // D-4
    return answer;
}

void Model::refused(int queue, const Entry& entry) {
    Queue& q = queues_[queue];
    const auto at = q.knotes.find(key_of(entry));
    if (at == q.knotes.end()) return;
    at->second.news = std::max(at->second.news, Truth::maybe);
    q.excused = true;
    if (has(entry, EV_DELETE)) (void)change(queue, entry);
}

bool Model::is_open(int ident) const {
    if (ident < kSlots) return files_.at(ident) >= 0;
    return ident < kNeverOpen;
}

// 2.4, the order of the checks; 3.1.
int Model::change(int queue, const Entry& entry) {
    Queue& q = queues_[queue];
    if (has(entry, EV_ENABLE) && has(entry, EV_DISABLE)) return EINVAL;  // R-41, D-6
    if (!is_known(entry.filter)) return EINVAL;                          // R-39, D-9
    const Key key = key_of(entry);
    const auto at = q.knotes.find(key);
    const bool farewell = at != q.knotes.end() && at->second.farewell;
    if (is_descriptor(entry.filter) && !is_open(entry.ident) && !farewell)
        return EBADF;
    if (at == q.knotes.end()) {
        if (!has(entry, EV_ADD)) return ENOENT;
        return create(queue, key, entry);        // D-7: with EV_DELETE, too
    }
    Knote& kn = at->second;
    if (has(entry, EV_DELETE) && kn.defers() && kn.disabled && !has(entry, EV_ENABLE)) {
        say_farewell(q, key, kn);
        return EINPROGRESS;
    }
    if (has(entry, EV_DELETE)) {
        unqueue_user(q, key);
        q.knotes.erase(at);
        return 0;
    }
    return modify(q, key, kn, entry);
}

// the knote is disabled, and reports nothing until EV_ENABLE.
void Model::say_farewell(Queue& q, const Key& key, Knote& kn) {
    unqueue_user(q, key);
    kn.farewell = kn.disabled = kn.triggered = true;
}

Model::Key Model::key_of(const Entry& entry) {
    return {entry.filter, entry.ident, has(entry, EV_UDATA_SPECIFIC) ? entry.tag + 1 : 0};
}

int Model::create(int queue, const Key& key, const Entry& entry) {
    Queue& q = queues_[queue];
    const bool nested = is_descriptor(key.filter) && key.ident >= kQueueIdent;
    if (nested && (key.filter != EVFILT_READ || key.ident == kQueueIdent + queue))
        return EINVAL;
    Knote kn;
    kn.asked_oneshot = has(entry, EV_ONESHOT);
    if (key.filter == EVFILT_TIMER && !parse_timer(entry, kn.asked_oneshot, kn)) return EINVAL;
    if (const int error = check_state(entry); error != 0) return error;
    // 3.6: the flags of the creating EV_ADD, D-2, D-44.
    const unsigned hidden = EV_SYSFLAGS | EV_DELETE | EV_ENABLE | EV_DISABLE;
    kn.flags |= entry.flags & ~hidden;
    kn.disabled = has(entry, EV_DISABLE);
    kn.tag = entry.tag;
    kn.fflags = entry.fflags;
    kn.data = entry.data;
    if (key.filter == EVFILT_USER) kn.fflags &= NOTE_FFLAGSMASK;
    kn.triggered = key.filter == EVFILT_USER && (entry.fflags & NOTE_TRIGGER) != 0;  // D-13, R-276
    if (is_descriptor(key.filter)) {
        kn.file = nested ? -1 : files_.at(key.ident);
        if (!traits_.wandering_numbers)
            std::erase_if(q.stale, [&key](const auto& at) {
                return is_descriptor(at.first.filter) && at.first.ident == key.ident;
            });
        if (!nested) q.seen.insert({kn.file, key.ident});
    }
    if (key.filter == EVFILT_TIMER && !kn.disabled) start_timer(kn);
    if (is_state(key.filter)) begin(key, kn);
    q.restless = q.restless || nested || key.filter == EVFILT_TIMER || is_looked_for(key);
    queue_user(q, key, q.knotes[key] = kn);
    return 0;
}

// 3.1 "found", 3.2, 3.3: the mode of the knote stays (R-78, R-79, D-10). What is pending stays,
// except for timers. udata is taken from the change (D-12, R-76, R-77).
int Model::modify(Queue& q, const Key& key, Knote& kn, const Entry& entry) {
    if (!leaves_request(entry) && !kn.farewell) {
        if (key.filter == EVFILT_TIMER) {
            if (!parse_timer(entry, kn.asked_oneshot, kn)) return EINVAL;  // D-17, R-252
            if (!kn.disabled) start_timer(kn);
        } else if (key.filter == EVFILT_USER) {
            operate(q, key, kn, entry);
        } else {
            if (const int error = check_state(entry); error != 0) return error;
            kn.fflags = entry.fflags;
            kn.data = entry.data;
            begin(key, kn);
        }
    }
    kn.tag = entry.tag;
    if (has(entry, EV_ENABLE) && kn.disabled) {
        kn.disabled = false;
        begin(key, kn);
        if (key.filter == EVFILT_TIMER && !kn.farewell) start_timer(kn);  // D-15
        queue_user(q, key, kn);
    } else if (has(entry, EV_ENABLE) && is_descriptor(key.filter)) {
        // R-85 says idempotent; that FreeBSD looks again here (3.1, 6.) is allowed.
        kn.news = std::max(kn.news, Truth::maybe);
    } else if (has(entry, EV_DISABLE)) {
        kn.disabled = true;
        q.excused = true;
        unqueue_user(q, key);
    }
    return 0;
}

// ---- EVFILT_USER: 5.10 ----

void Model::operate(Queue& q, const Key& key, Knote& kn, const Entry& entry) {
    const unsigned operand = entry.fflags & NOTE_FFLAGSMASK;
    switch (entry.fflags & NOTE_FFCTRLMASK) {
        case NOTE_FFAND:
            kn.fflags &= operand;
            break;
        case NOTE_FFOR:
            kn.fflags |= operand;
            break;
        case NOTE_FFCOPY:
            kn.fflags = operand;
            break;
        default:
            break;
    }
    kn.data = entry.data;
    if ((entry.fflags & NOTE_TRIGGER) != 0) {
        kn.triggered = true;
        queue_user(q, key, kn);
    } else if (has(entry, EV_CLEAR)) {  // D-14, R-277
        kn.triggered = false;
        unqueue_user(q, key);
    }
}

// To the tail, unless it is queued already. A disabled knote keeps its trigger for EV_ENABLE.
void Model::queue_user(Queue& q, const Key& key, const Knote& kn) {
    if (key.filter != EVFILT_USER || !kn.triggered || kn.disabled) return;
    if (std::find(q.triggered.begin(), q.triggered.end(), key) == q.triggered.end())
        q.triggered.push_back(key);
}

void Model::unqueue_user(Queue& q, const Key& key) {
    std::erase(q.triggered, key);
}

// ---- EVFILT_TIMER: 5.9 ----

// False if the request makes no sense, D-18.
bool Model::parse_timer(const Entry& entry, bool oneshot, Knote& kn) {
    const bool absolute = (entry.fflags & NOTE_ABSOLUTE) != 0;
    Nanos unit = 0;
    switch (entry.fflags & ~unsigned{NOTE_ABSOLUTE | NOTE_CRITICAL | NOTE_BACKGROUND}) {
        case 0:
            unit = 1'000'000;
            break;
        case NOTE_SECONDS:
            unit = 1'000'000'000;
            break;
        case NOTE_USECONDS:
            unit = 1'000;
            break;
        case NOTE_NSECONDS:
        case NOTE_MACHTIME:  // no program has absolute ones: these have a clock of their own
            unit = 1;
            break;
        default:
            return false;
    }
    if (entry.data < 0 && !absolute) return false;
    const bool once = oneshot || absolute;                            // D-16
    const int64_t count = entry.data == 0 && !once ? 1 : entry.data;
    kn.absolute = absolute;
    kn.span = times(count, unit);
    constexpr Nanos kBackground = 100'000'000;
    const bool lazy = (entry.fflags & (NOTE_BACKGROUND | NOTE_CRITICAL)) == NOTE_BACKGROUND;
    kn.leeway = !lazy ? 0 : absolute ? kBackground : std::min(kn.span, kBackground);
    kn.flags = (kn.flags & ~unsigned{EV_ONESHOT}) | EV_CLEAR | (once ? EV_ONESHOT : 0u);
    return true;
}

// Counts from now on, D-15.
void Model::start_timer(Knote& kn) const {
    const Nanos now = kn.absolute ? now_.realtime : now_.monotonic;
    if (kn.absolute)
        kn.deadline = kn.span;
    else
        kn.deadline = kn.span > kNever - now ? kNever : now + kn.span;
    kn.at_once = kn.deadline <= now;
}

// ---- closing: 4.1 ----

// All knotes of the number end, even if another number keeps the file open.
void Model::drop_watchers(int ident) {
    for (Queue& q : queues_)
        std::erase_if(q.knotes, [this, &q, ident](const auto& at) {
            const auto& [key, kn] = at;
            if (!is_descriptor(key.filter) || key.ident != ident || kn.farewell) return false;
            q.stale[key] = kn;
            q.dropped++;
            q.writer_dropped |= is_writer(kn.file);
            q.excused = true;
            return true;
        });
}

bool Model::is_late(int queue, const Entry& change) const {
    const bool bare = has(change, EV_ENABLE | EV_DISABLE) && !has(change, EV_ADD | EV_DELETE);
    const Queue& q = queues_[queue];
    const Key key = key_of(change);
    if (may_be_old(q, key)) return true;
    if (!traits_.wandering_numbers) return bare && q.stale.count(key) != 0;
    return bare && q.knotes.count(key) == 0 &&
           std::any_of(q.stale.begin(), q.stale.end(),
                       [&](const auto& stale) { return stale.first.filter == key.filter; });
}

}  // namespace kqmodel
