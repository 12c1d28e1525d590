// SPDX-License-Identifier: BSD-2-Clause
// The executable specification of kqueue: what each call may answer, after all earlier steps.
//
// It is written from test/semantics, and from BUGS.md (L-..) where Linux differs. The code names
// rules (R-.., D-..) and sections of these: compare it with them, not with src/. For each knote the
// model knows whether it must be reported, may be reported, or must not be reported. Where a rule
// leaves a choice the model checks that the answer is allowed, and then goes on from the answer.
#ifndef KQMODEL_MODEL_H
#define KQMODEL_MODEL_H

#include <sys/event.h>

#include <deque>
#include <map>
#include <set>

#include "model/files.h"
#include "model/program.h"

namespace kqmodel {

using Nanos = int64_t;

struct Now {
    Nanos monotonic = 0;
    Nanos realtime = 0;
};

class Model {
  public:
    explicit Model(const Traits& traits);

    // ---- what the program does; false: it cannot be done, and nothing was changed ----
    bool open(Kind kind, int a, int b);
    bool close(int slot);
    bool dup(int from, int to);
    bool shut(int slot);
    void renew(int queue);
    // Before each call, and after it.
    void set_time(Now now) {
        before_ = now_;
        now_ = now;
    }
    Files& files() { return files_; }

    // ---- kevent() ----

    // The answer to the changes alone. `stopped`: the call returns that; else events are
    // collected.
    struct Answer {
        int result = 0;  // entries, or -1
        int error = 0;
        std::vector<Entry> entries;
        bool stopped = false;
    };
    Answer apply(int queue, const std::vector<Entry>& changes, int room);
    // The system refused the change: it has no effect, except EV_DELETE, which is done.
    void refused(int queue, const Entry& change);

    // Whether a call without timeout would return.
    [[nodiscard]] bool something_is_due(int queue) const;

    // Takes over the events that a call collected. Returns what is wrong with them, or nothing.
    std::string accept(int queue, int room, bool waited, const std::vector<Entry>& events);

    // pending(): whether poll() finds the queue readable. leftover(): the same after a call that
    // had more than enough room. Then a queue without further events must not be readable.
    [[nodiscard]] Truth pending(int queue) const;
    [[nodiscard]] Truth leftover(int queue) const;
    // Whether poll() must find nothing, even before a call has looked: there is no knote, and
    // nothing that L-STALE-POLL excuses. found_quiet(): poll() found nothing.
    [[nodiscard]] bool must_be_quiet(int queue) const;
    void found_quiet(int queue) { queues_[queue].excused = false; }

    // Changes whose answer is not certain. L-LATE: EV_ENABLE or EV_DISABLE of a knote whose
    // descriptor was closed may return 0. W-REUSED: every change of what may be an old knote.
    [[nodiscard]] bool is_late(int queue, const Entry& change) const;

  private:
    struct Key {
        int filter;
        int ident;
        uintptr_t udata = 0;  // with EV_UDATA_SPECIFIC: one more than it; else 0
        auto operator<=>(const Key&) const = default;
    };
    static Key key_of(const Entry& entry);  // of a change, and of an event
    // P-EDGE: what is known of the last report, and of the calls after it.
    struct Seen {
        bool armed = true;    // every edge is noticed: not reported, or not ready since the report
        bool gone = false;    // the peer was closed
        bool hidden = false;  // the end was not told: may_hide_end()
        bool less = false;    // there may have been less to read
        int64_t most = 0;     // so much was to be read, at most
        Nanos told = 0;       // reported not before
        Nanos arisen = INT64_MAX;  // when there was something to report; collected not before
    };
    struct Knote {
        unsigned flags = 0;  // as events show them
        bool disabled = false;
        uintptr_t tag = 0;
        int file = -1;               // of descriptors: what the number named; -1: a kqueue
        Truth news = Truth::yes;     // of descriptors: since the last report
        unsigned fflags = 0;         // of descriptors: as given; USER: stored
        int64_t data = 0;            // likewise
        bool triggered = false;      // USER
        bool asked_oneshot = false;  // TIMER, from here on
        bool absolute = false;
        bool at_once = false;  // was due when it was started
        Nanos span = 0;
        Nanos deadline = 0;
        Nanos leeway = 0;       // it is reported so much later than that, or earlier
        int overtaken = 0;      // events reported while it waited
        bool farewell = false;  // has no source any more, and owes an event with EV_DELETE: R-340
        Seen seen{};
        // L-EMPTY, P-EXCEPT. was_false: a look has found it false since it was reported. waits: it
        // is not queued, so only a look finds it.
        Truth was_false = Truth::yes;
        Truth end_told = Truth::no;  // EXCEPT: the last report may have said EV_EOF
        bool waits = false;

        [[nodiscard]] bool has(unsigned flag) const { return (flags & flag) != 0; }
        [[nodiscard]] bool defers() const { return (flags & EV_DISPATCH2) == EV_DISPATCH2; }
    };
    struct Queue {
        std::map<Key, Knote> knotes;
        std::deque<Key> triggered;   // USER knotes that are to be reported, in this order
        std::map<Key, Knote> stale;  // whose descriptor was closed, until the next EV_ADD
        std::set<std::pair<int, int>> seen;  // (file, slot) that were watched
        int dropped = 0;                     // how many knotes went with their descriptors
        bool writer_dropped = false;         // a knote of the writing end of a pipe was among them
        bool restless = false;               // had a timer, or watched a queue, once
        bool excused = false;                // L-STALE-POLL, L-CLOSE
    };

    // changes: model_changes.cc
    int change(int queue, const Entry& entry);
    int create(int queue, const Key& key, const Entry& entry);
    int modify(Queue& q, const Key& key, Knote& kn, const Entry& entry);
    static void say_farewell(Queue& q, const Key& key, Knote& kn);
    static void operate(Queue& q, const Key& key, Knote& kn, const Entry& entry);
    static void queue_user(Queue& q, const Key& key, const Knote& kn);
    static void unqueue_user(Queue& q, const Key& key);
    static bool parse_timer(const Entry& entry, bool oneshot, Knote& kn);
    void start_timer(Knote& kn) const;
    [[nodiscard]] bool is_open(int ident) const;
    void drop_watchers(int ident);

    // events: model.cc
    [[nodiscard]] Truth condition(const Key& key, const Knote& kn) const;
    [[nodiscard]] Truth nested(const Queue& inner, const Knote& kn) const;
    [[nodiscard]] Truth due(const Key& key, const Knote& kn) const;
    [[nodiscard]] bool comes_soon(const Key& key, const Knote& kn) const;
    std::string accept_event(Queue& q, const Entry& event);
    std::string check_values(const Key& key, const Knote& kn, const Entry& event);
    std::string check_descriptor(const Key& key, const Knote& kn, const Entry& event);
    std::string check_timer(const Knote& kn, const Entry& event) const;
    std::string check_nested(const Entry& event) const;
    [[nodiscard]] bool is_ghost(const Queue& q, const Entry& event) const;
    void reported(Queue& q, const Key& key, Knote& kn);
    void news(int file, Side side, Truth truth);
    std::string check_fairness(Queue& q, const std::vector<Entry>& events) const;

    // states of descriptors: states.cc
    static bool is_state(int filter);
    [[nodiscard]] bool is_looked_for(const Key& key) const;
    [[nodiscard]] int check_state(const Entry& entry) const;
    [[nodiscard]] Truth state(const Key& key, const Knote& kn) const;
    [[nodiscard]] std::string check_urgent(const Knote& kn, const Entry& event) const;
    void begin(const Key& key, Knote& kn) const;
    void look_at_states(Queue& q, bool nothing, const std::set<Key>& told) const;
    void state_reported(const Key& key, Knote& kn) const;
    Truth end(const Key& key, const Knote& kn) const;
    Truth state_news(const Key& key, const Knote& kn) const;

    // less than the rules: relaxed.cc
    [[nodiscard]] Truth edge(const Key& key, const Knote& kn) const;
    void look_at_edges(Queue& q, bool complete, const std::set<Key>& told);
    void edge_reported(const Key& key, Knote& kn) const;
    [[nodiscard]] bool may_hide_end(const Key& key, const Knote& kn) const;
    [[nodiscard]] bool may_be_old(const Queue& q, const Key& key) const;
    [[nodiscard]] bool is_writer(int file) const;
    [[nodiscard]] bool is_looked_at(const Queue& inner) const;
    [[nodiscard]] bool is_seen_gone(const Key& key, const Knote& kn) const;
    [[nodiscard]] Truth polled(const Key& key, const Knote& kn, Truth truth) const;

    Traits traits_;
    Now before_;
    Now now_;
    Files files_;
    Queue queues_[kQueues]{};
};

}  // namespace kqmodel

#endif
