// SPDX-License-Identifier: BSD-2-Clause
// Which events may be collected, and which must: semantics 2.5, 3.4 to 3.6. Also the steps that are
// no kevent() calls. See model.h.
#include "model/model.h"

#include <sys/event.h>

#include <algorithm>
#include <cerrno>

namespace kqmodel {
namespace {

// A call with room for so many events gets all that are pending.
constexpr int kPlenty = 64;
// Real timers of a shorter period than this may have expired at any time.
constexpr Nanos kShort = 1'000'000'000;
// A call may wait for simulated timers that come within
constexpr Nanos kPatience = 10'000'000'000;

Side side_of(int filter) {
    switch (filter) {
        case EVFILT_READ:
            return Side::read;
        case kExcept:
            return Side::urgent;
        case kEmpty:
            return Side::empty;
        default:
            return Side::write;
    }
}

std::string complain(const Entry& event, const char* what) {
    return to_string(event) + ": " + what;
}

}  // namespace

Model::Model(const Traits& traits)
    : traits_(traits),
      files_(traits, [this](int file, Side side, Truth truth) { news(file, side, truth); }) {}

// ---- what is true ----

Truth Model::condition(const Key& key, const Knote& kn) const {
    if (kn.farewell) return Truth::yes;
    switch (key.filter) {
        case EVFILT_USER:
            return kn.triggered ? Truth::yes : Truth::no;
        case EVFILT_TIMER:
            if (traits_.exact_clock) {
                const Nanos now = kn.absolute ? now_.realtime : now_.monotonic;
                if (now < kn.deadline) return Truth::no;
                const bool late = kn.at_once || now - kn.leeway >= kn.deadline;
                return late ? Truth::yes : Truth::maybe;
            }
            if (kn.at_once) return Truth::yes;
            return !kn.absolute && kn.span < kShort ? Truth::maybe : Truth::no;
        default:
            break;
    }
    if (kn.file < 0) return nested(queues_[key.ident - kQueueIdent], kn);
    if (is_state(key.filter)) return state(key, kn);
    if (key.filter == EVFILT_WRITE) return files_.writable(kn.file);
    const int64_t mark = (kn.fflags & NOTE_LOWAT) != 0 ? kn.data : 0;  // D-31
    const Truth truth = files_.readable(kn.file, mark);
    const bool hidden = files_.file(kn.file).bytes < mark && may_hide_end(key, kn);
    return hidden ? std::min(truth, Truth::maybe) : truth;
}

// 4.3: active while something is queued in the watched queue, which may have become stale. No
// rule says what a mark means.
Truth Model::nested(const Queue& inner, const Knote& kn) const {
    Truth most = Truth::no;
    for (const auto& [key, one] : inner.knotes) {
        most = std::max(most, one.waits ? Truth::no : due(key, one));
        if (is_descriptor(key.filter) && !one.disabled) most = std::max(most, Truth::maybe);
    }
    if (!inner.stale.empty()) most = std::max(most, Truth::maybe);
    // P-EDGE: a closed descriptor makes the watched queue ready until that has collected. So news
    // that came afterwards may be no edge.
    const bool closed = std::any_of(inner.seen.begin(), inner.seen.end(), [this](const auto& one) {
        return files_.at(one.second) != one.first;
    });
    if (closed && traits_.relaxed.edge && kn.has(EV_CLEAR)) most = std::min(most, Truth::maybe);
    const bool looks = std::any_of(inner.knotes.begin(), inner.knotes.end(),
                                   [](const auto& at) { return at.second.waits; });
    const bool doubtful = (kn.fflags & NOTE_LOWAT) != 0 || looks || is_looked_at(inner);
    return doubtful ? std::min(most, Truth::maybe) : most;
}

// Whether a knote is to be reported by a call.
Truth Model::due(const Key& key, const Knote& kn) const {
    if (kn.disabled) return Truth::no;
    const Truth now = condition(key, kn);
    const bool edges = kn.has(EV_CLEAR) && is_descriptor(key.filter) && !kn.farewell;
    if (!edges) return now;
    return std::min(now, edge(key, kn));
}

bool Model::comes_soon(const Key& key, const Knote& kn) const {
    if (key.filter != EVFILT_TIMER || kn.disabled || kn.farewell) return false;
    if (traits_.exact_clock)
        return kn.deadline - (kn.absolute ? now_.realtime : now_.monotonic) < kPatience - kn.leeway;
    return kn.at_once || (!kn.absolute && kn.span < kShort);
}

bool Model::something_is_due(int queue) const {
    const Queue& q = queues_[queue];
    return std::any_of(q.knotes.begin(), q.knotes.end(), [&](const auto& entry) {
        return due(entry.first, entry.second) == Truth::yes ||
               comes_soon(entry.first, entry.second);
    });
}

Truth Model::pending(int queue) const {
    const Queue& q = queues_[queue];
    Truth most = Truth::no;
    for (const auto& [key, kn] : q.knotes)
        most = std::max(most, polled(key, kn, due(key, kn)));
    return most;
}

// A knote by level that is still true stays pending. L-CLOSE: a duplicate of a closed number may
// keep the queue readable, too. So may events in a queue that this one watches.
Truth Model::leftover(int queue) const {
    const Queue& q = queues_[queue];
    Truth most = Truth::no;
    for (const auto& [key, kn] : q.knotes) {
        const bool nested = kn.file < 0 && key.filter == EVFILT_READ;
        Truth truth = due(key, kn);
        const bool looks = kn.waits && !kn.disabled;  // a timer makes a call look now and then
        if (nested || looks || (comes_soon(key, kn) && !traits_.exact_clock))
            truth = std::max(truth, Truth::maybe);
        most = std::max(most, polled(key, kn, truth));
    }
    for (const auto& [file, slot] : q.seen)
        if (files_.alive(file) && files_.at(slot) != file) most = std::max(most, Truth::maybe);
    return most;
}

bool Model::must_be_quiet(int queue) const {
    const Queue& q = queues_[queue];
    return q.knotes.empty() && !q.restless && !q.excused;
}

// ---- what was collected ----

std::string Model::accept(int queue, int room, bool waited, const std::vector<Entry>& events) {
    Queue& q = queues_[queue];
    std::set<Key> told;
    for (const Entry& event : events) {
        const std::string wrong = accept_event(q, event);
        if (!wrong.empty()) return wrong;
        if (!told.insert(key_of(event)).second) return complain(event, "twice in one call (R-48)");
    }
    if (static_cast<int>(events.size()) > room) return "more events than there is room (R-46)";
    if (waited && events.empty()) return "a call that waited returned nothing";
    const bool complete =
        static_cast<int>(events.size()) < room && (events.empty() || room >= kPlenty);
    for (auto& [key, kn] : q.knotes) {
        if (told.count(key) != 0) continue;
        if (complete && due(key, kn) == Truth::yes && (!kn.waits || events.empty()))
            return "not reported: " +
                   to_string(Entry{key.filter, key.ident, kn.flags, kn.fflags, kn.data, kn.tag});
    }
    look_at_edges(q, complete, told);
    look_at_states(q, events.empty(), told);
    return check_fairness(q, events);
}

std::string Model::accept_event(Queue& q, const Entry& event) {
    const Key key = key_of(event);
    const auto at = q.knotes.find(key);
    if (at == q.knotes.end()) {
        if (may_be_old(q, key)) return "";
        if (!is_ghost(q, event)) return complain(event, "there is no such knote");
        files_.file(files_.at(event.ident)).reset_told = true;
        const Knote ghost = q.stale[key];
        if (ghost.has(EV_ONESHOT) && ghost.defers()) {  // its last event will come
            say_farewell(q, key, q.knotes[key] = ghost);
            q.stale.erase(key);
        }
        return "";
    }
    Knote& kn = at->second;
    if (kn.disabled) return complain(event, "it is disabled");
    if (condition(key, kn) == Truth::no) return complain(event, "it is not true");
    if (due(key, kn) == Truth::no) return complain(event, "no news since it was reported");
    const std::string wrong = check_values(key, kn, event);
    if (!wrong.empty()) return complain(event, wrong.c_str());
    if (key.filter == EVFILT_USER) {
        if (q.triggered.empty() || q.triggered.front() != key)
            return complain(event, "not in the order of the triggers (R-49)");
        q.triggered.pop_front();
    }
    reported(q, key, kn);
    return "";
}

// L-CLOSE: a descriptor was closed, and its number is open again. Then its old knote may be
// reported for a while.
bool Model::is_ghost(const Queue& q, const Entry& event) const {
    const auto at = q.stale.find(key_of(event));
    if (traits_.relaxed.no_ghosts || is_state(event.filter)) return false;
    if (at == q.stale.end() || at->second.file < 0 || event.ident >= kSlots) return false;
    return files_.at(event.ident) >= 0;
}

std::string Model::check_values(const Key& key, const Knote& kn, const Entry& event) {
    if (event.tag != kn.tag) return "udata of another change (R-75 to R-77)";
    if (kn.farewell) {
        const bool right = event.flags == (EV_DISPATCH2 | EV_ONESHOT | EV_DELETE) &&
                           event.fflags == 0 && event.data == 0;
        return right ? "" : "not the last event of a knote";
    }
    const bool ended =
        is_descriptor(key.filter) && kn.file >= 0 && files_.ended(kn.file, side_of(key.filter));
    const bool hidden = ended && event.flags == kn.flags && may_hide_end(key, kn);
    if (!hidden && event.flags != (kn.flags | (ended ? EV_EOF : 0u))) return "wrong flags (3.6)";
    if (key.filter == EVFILT_TIMER) return check_timer(kn, event);
    if (key.filter == EVFILT_USER) {  // 5.10, D-46
        if (event.fflags != kn.fflags) return "wrong fflags";
        return event.data == kn.data ? "" : "wrong data";
    }
    return kn.file < 0 ? check_nested(event) : check_descriptor(key, kn, event);
}

std::string Model::check_descriptor(const Key& key, const Knote& kn, const Entry& event) {
    bool exact = false;
    const int64_t data = files_.data(kn.file, side_of(key.filter), exact);
    if (exact ? event.data != data : event.data < data)
        return "wrong data, not " + std::to_string(data);
    if (is_state(key.filter)) return check_urgent(kn, event);
    // R-103, D-45; R-114. L-SO-ERROR: an error that was told once may be forgotten.
    File& file = files_.file(kn.file);
    const bool reset = file.was_reset && (event.flags & EV_EOF) != 0;
    const bool right = event.fflags == (reset ? ECONNRESET : 0u) ||
                       (reset && file.reset_told && event.fflags == 0);
    if (reset) file.reset_told = true;
    return right ? "" : "wrong fflags";
}

std::string Model::check_timer(const Knote& kn, const Entry& event) const {
    if (event.fflags != 0) return "wrong fflags (R-103)";
    if (kn.has(EV_ONESHOT)) return event.data == 1 ? "" : "wrong data";
    if (!traits_.exact_clock) return event.data >= 1 ? "" : "wrong data";
    const int64_t ticks = (now_.monotonic - kn.deadline) / kn.span + 1;
    return event.data == ticks ? "" : "wrong data, not " + std::to_string(ticks);
}

// 4.3: how many are queued in the watched queue, of which some may have become stale.
std::string Model::check_nested(const Entry& event) const {
    const Queue& inner = queues_[event.ident - kQueueIdent];
    const auto least = std::count_if(inner.knotes.begin(), inner.knotes.end(), [&](const auto& at) {
        return !at.second.waits && due(at.first, at.second) == Truth::yes;
    });
    if (event.fflags != 0) return "wrong fflags";
    const size_t stale =
        traits_.wandering_numbers ? static_cast<size_t>(inner.dropped) : inner.stale.size();
    const bool right = event.data >= std::max<int64_t>(least, 1) &&
                       event.data <= static_cast<int64_t>(inner.knotes.size() + stale);
    return right ? "" : "wrong data, not from " + std::to_string(least) + " on";
}

// 2.5: what becomes of a knote that was reported.
void Model::reported(Queue& q, const Key& key, Knote& kn) {
    kn.overtaken = 0;
    // A watched queue may have news that the model cannot count: R-310.
    kn.news = kn.file < 0 ? Truth::maybe : Truth::no;
    if (kn.has(EV_ONESHOT) && kn.defers() && !kn.farewell) {
        say_farewell(q, key, kn);
        q.excused = true;
        return;
    }
    if (kn.has(EV_ONESHOT) || kn.farewell) {  // wins
        q.knotes.erase(key);
        return;
    }
    if (is_descriptor(key.filter)) edge_reported(key, kn);
    state_reported(key, kn);
    if (kn.has(EV_CLEAR)) kn.triggered = false;
    if (kn.has(EV_DISPATCH)) kn.disabled = q.excused = true;
    queue_user(q, key, kn);                                   // to the tail
    if (key.filter != EVFILT_TIMER) return;
    kn.at_once = false;
    if (traits_.exact_clock)
        kn.deadline += ((now_.monotonic - kn.deadline) / kn.span + 1) * kn.span;
}

// 2.5 (b), R-47: a pending knote is reported before the others are reported too often.
std::string Model::check_fairness(Queue& q, const std::vector<Entry>& events) const {
    const int limit = 4 * static_cast<int>(q.knotes.size()) + 8;
    for (auto& [key, kn] : q.knotes) {
        const bool told = std::any_of(events.begin(), events.end(), [&k = key](const Entry& event) {
            return key_of(event) == k;
        });
        if (told || kn.waits || due(key, kn) != Truth::yes) {
            kn.overtaken = 0;
            continue;
        }
        kn.overtaken += static_cast<int>(events.size());
        if (kn.overtaken > limit)
            return "others again and again, never: " +
                   to_string(Entry{key.filter, key.ident, kn.flags, kn.fflags, kn.data, kn.tag});
    }
    return "";
}

// ---- the world ----

void Model::news(int file, Side side, Truth truth) {
    for (Queue& q : queues_)
        for (auto& [key, kn] : q.knotes) {
            if (is_descriptor(key.filter) && kn.file == file && side_of(key.filter) == side) {
                if (kn.news == Truth::no) kn.seen.arisen = now_.monotonic;
                kn.news = std::max(kn.news, truth);
            }
        }
}

bool Model::open(Kind kind, int a, int b) {
    if (a == b) return false;
    (void)close(a);
    (void)close(b);
    files_.open(kind, a, b);
    return true;
}

bool Model::close(int slot) {
    if (files_.at(slot) < 0) return false;
    drop_watchers(slot);
    files_.close(slot);
    return true;
}

// Not done if the file was watched under this number before. The library cannot know that the
// number was closed since then, so old knotes would go on (BUGS.md, L-REOPENED).
bool Model::dup(int from, int to) {
    if (from == to || files_.at(from) < 0) return false;
    const std::pair<int, int> pair{files_.at(from), to};
    if (std::any_of(std::begin(queues_), std::end(queues_),
                    [&pair](const Queue& q) { return q.seen.count(pair) != 0; }))
        return false;
    (void)close(to);
    files_.dup(from, to);
    return true;
}

bool Model::shut(int slot) {
    if (!files_.may_shut(slot)) return false;
    files_.shut(slot);
    return true;
}

void Model::renew(int queue) {
    queues_[queue] = Queue{};
    drop_watchers(kQueueIdent + queue);
}

}  // namespace kqmodel
