// SPDX-License-Identifier: BSD-2-Clause
// How programs are made. See program.h.
//
// Each program has its own preferences: few or many keys, some modes of knotes, some kinds of
// steps. If all steps were equally frequent, a program would seldom do the same thing twice in a
// row. But that is where short ways of the library go wrong.
#include <sys/event.h>

#include <algorithm>

#include "model/program.h"

namespace kqmodel {

unsigned Choices::pick(unsigned n) {
    if (endless_) return static_cast<unsigned>(random_() % n);
    if (bytes_.empty()) return 0;
    const unsigned byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte % n;
}

namespace {

using What = Step::What;

constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kAgo = 1'000;                     // ms since 1970: long past
constexpr int64_t kFarFuture = 40'000'000'000'000;  // likewise, and far away
constexpr int64_t kLong = 100'000;                  // seconds

constexpr unsigned kNatures[] = {0,
                                 EV_CLEAR,
                                 EV_ONESHOT,
                                 EV_DISPATCH,
                                 EV_CLEAR | EV_DISPATCH,
                                 EV_CLEAR | EV_ONESHOT,
                                 EV_ONESHOT | EV_DISPATCH,
                                 EV_CLEAR | EV_DISPATCH | EV_ONESHOT};

struct Key {
    int filter;
    int ident;
};

class Maker {
  public:
    Maker(Choices& choices, const Traits& traits) : choices_(choices), traits_(traits) {
        states_ = (traits_.urgent || traits_.unsent) && one_in(3);
        for (unsigned n = 1 + pick(one_in(3) ? 3 : 20); n > 0; n--)
            keys_.push_back(random_key());
        for (unsigned n = 1 + pick(4); n > 0; n--)
            natures_.push_back(kNatures[pick(8)]);
        queues_ = one_in(3) ? kQueues : 1;
        unruly_ = one_in(4);
        specific_ = one_in(4);
        for (unsigned& weight : weights_)
            weight = 1 + pick(one_in(4) ? 12 : 3);
    }

    Step step(size_t number) {
        if (number < kSlots / 2)
            return open(static_cast<int>(2 * number), static_cast<int>(2 * number + 1));
        switch (weighted()) {
            case 0:
            case 1:
            case 2:
                return collect();
            case 3:
            case 4:
                return change();
            case 5:
            case 6:
                return traffic();
            default:
                return event_of_a_lifetime();
        }
    }

  private:
    static constexpr unsigned kWeights = 8;

    unsigned pick(unsigned n) { return choices_.pick(n); }
    bool one_in(unsigned n) { return choices_.one_in(n); }
    int slot() { return static_cast<int>(pick(kSlots)); }

    unsigned weighted() {
        unsigned all = 0;
        for (const unsigned weight : weights_)
            all += weight;
        unsigned left = pick(all);
        unsigned i = 0;
        for (; left >= weights_[i]; i++)
            left -= weights_[i];
        return i;
    }

    Key random_key() {
        if (states_ && one_in(3)) {
            const bool except = traits_.urgent && (!traits_.unsent || one_in(2));
            return {except ? kExcept : kEmpty, slot()};
        }
        switch (pick(8)) {
            case 0:
            case 1:
                return {EVFILT_USER, static_cast<int>(pick(kIdents))};
            case 2:
                return {EVFILT_TIMER, static_cast<int>(pick(kIdents))};
            default:
                return {one_in(2) ? EVFILT_READ : EVFILT_WRITE, slot()};
        }
    }

    Key key() {
        if (queues_ > 1 && !traits_.plain && one_in(12)) return {EVFILT_READ, kQueueIdent + 1};
        if (unruly_ && one_in(30)) return strange_key();
        return keys_[pick(static_cast<unsigned>(keys_.size()))];
    }

    Key strange_key() {
        if (states_ && one_in(3)) return {kExcept, one_in(2) ? kNeverOpen : kQueueIdent};
        switch (pick(4)) {
            case 0:
                return {one_in(2) ? EVFILT_READ : EVFILT_WRITE, kNeverOpen};
            case 1:
                return {one_in(2) ? 0x7f : one_in(2) ? 0 : -100, 1};
            default:
                return random_key();
        }
    }

    void ask(Entry& entry) {
        if (entry.filter == EVFILT_READ && one_in(6)) {
            entry.fflags = NOTE_LOWAT;
            entry.data = pick(20);
        }
        if (entry.filter == EVFILT_USER) {
            constexpr unsigned kOperations[] = {NOTE_FFNOP, NOTE_FFAND, NOTE_FFOR, NOTE_FFCOPY};
            entry.fflags = kOperations[pick(4)] | (one_in(2) ? pick(256) : 0u);
            if (one_in(2)) entry.fflags |= NOTE_TRIGGER;
            entry.data = pick(3);
        }
        if (entry.filter == kExcept && !one_in(4)) entry.fflags = kOob;
        if ((entry.filter == kExcept || entry.filter == kEmpty) && unruly_ && one_in(10))
            entry.fflags |= 0x10;
        if (entry.filter == EVFILT_TIMER) ask_time(entry);
    }

    void ask_time(Entry& entry) {
        switch (pick(8)) {
            case 0:
                entry.data = 0;
                break;
            case 1:
                entry.fflags = NOTE_ABSOLUTE;
                entry.data = one_in(2) ? kAgo : kFarFuture;
                if (traits_.exact_clock && !one_in(4)) entry.data = traits_.start_ms + pick(500);
                break;
            case 2:
                entry.fflags = traits_.exact_clock ? 0 : NOTE_USECONDS;
                entry.data = 1 + pick(20);
                break;
            case 3:  // with a leeway
                entry.fflags = traits_.exact_clock ? 0 : NOTE_USECONDS;
                entry.fflags |= NOTE_BACKGROUND;
                entry.data = 1 + pick(20);
                break;
            case 4:
                entry.data = 1 + pick(3);
                entry.fflags = entry.data == 1 ? NOTE_MACHTIME | NOTE_CRITICAL : NOTE_NSECONDS;
                break;
            case 5:
                if (unruly_) entry.fflags = one_in(2) ? 0x8000 : NOTE_SECONDS | NOTE_NSECONDS;
                if (unruly_ && one_in(2)) entry.data = -1;
                break;
            default:
                entry.fflags = NOTE_SECONDS;
                entry.data = traits_.exact_clock ? 2 : kLong;
        }
    }

    Entry entry(const Key& key) {
        Entry entry{.filter = key.filter, .ident = key.ident, .tag = pick(4)};
        ask(entry);
        switch (pick(10)) {
            case 0:
            case 1:
            case 2:
            case 3:
                entry.flags = EV_ADD | natures_[pick(static_cast<unsigned>(natures_.size()))];
                if (one_in(8)) entry.flags |= one_in(2) ? EV_DISABLE : EV_ENABLE;
                break;
            case 4:
                entry.flags = EV_DELETE;
                break;
            case 5:
                entry.flags = EV_DISABLE;
                break;
            case 6:
            case 7:
                entry.flags = EV_ENABLE;
                break;
            default:
                if (entry.filter == EVFILT_USER) entry.fflags |= NOTE_TRIGGER;
        }
        // P-EDGE would hold for knotes by level, too, if an EV_CLEAR knote had the same direction.
        const bool descriptor = entry.filter == EVFILT_READ || entry.filter == EVFILT_WRITE;
        if (specific_ && one_in(2) && !(descriptor && traits_.relaxed.edge))
            entry.flags |= EV_UDATA_SPECIFIC;
        if (one_in(16)) entry.flags |= EV_RECEIPT;
        if (unruly_ && one_in(10)) entry.flags ^= 1u << pick(8);
        if (unruly_ && one_in(20)) entry.flags |= one_in(2) ? EV_ERROR : EV_EOF;
        return entry;
    }

    Step call() {
        Step step;
        step.what = What::call;
        step.queue = static_cast<int>(pick(static_cast<unsigned>(queues_)));
        return step;
    }

    Step collect() {
        constexpr int kRooms[] = {1, 2, 3, 8, 64, 64, 64, 64};
        Step step = call();
        step.room = kRooms[pick(8)];
        step.wait = one_in(4) ? Wait::event : one_in(200) ? Wait::brief : Wait::none;
        if (unruly_ && one_in(20)) step.wait = one_in(2) ? Wait::invalid : Wait::negative;
        step.fault = traits_.faults && one_in(30);
        if (!one_in(4) || step.fault) return step;
        for (unsigned n = 1 + pick(3); n > 0; n--)
            step.changes.push_back(entry(key()));
        step.alias = one_in(2);
        return step;
    }

    // A call with changes and without events. Often several changes have the same key.
    Step change() {
        Step step = call();
        Key same = key();
        for (unsigned n = one_in(3) ? 2 + pick(3) : 1; n > 0; n--) {
            step.changes.push_back(entry(same));
            if (one_in(2)) same = key();
        }
        if (one_in(10)) step.room = static_cast<int>(pick(4));
        if (traits_.faults && one_in(20)) {
            step.fault = true;
            step.changes.resize(1);
            step.room = 0;
        }
        return step;
    }

    Step traffic() {
        constexpr What kWhats[] = {What::write, What::write, What::read, What::drain};
        Step step;
        step.what = one_in(16) ? What::fill : kWhats[pick(4)];
        if (states_ && traits_.urgent && one_in(3)) step.what = one_in(2) ? What::urge : What::take;
        step.a = slot();
        step.count = 1 + (step.what == What::read && one_in(3) ? 4096 : pick(12));
        return step;
    }

    Step event_of_a_lifetime() {
        Step step;
        step.a = slot();
        step.b = slot();
        switch (pick(10)) {
            case 0:
            case 1:
            case 2:
                return open(step.a, step.b);
            case 3:
                step.what = What::close;
                return step;
            case 4:
                step.what = traits_.relaxed.no_dup ? What::close : What::dup;
                return step;
            case 5:
                // P-SHUT, W-SHUT: shutdown() by the program itself is not reported there. These
                // hold where P-EOF holds.
                step.what = traits_.plain || traits_.relaxed.eof ? What::close : What::shut;
                return step;
            case 6:
                step.what = one_in(3) ? What::renew : What::drain;
                step.queue = static_cast<int>(pick(static_cast<unsigned>(queues_)));
                return step;
            default:
                if (!traits_.exact_clock) return traffic();
                step.what = What::advance;
                step.count = static_cast<int64_t>(pick(40)) * kMillisecond / 2 + pick(3);
                return step;
        }
    }

    Step open(int a, int b) {
        Step step;
        step.what = What::open;
        step.kind = one_in(3) && !traits_.plain ? Kind::pipe : Kind::stream;
        if (states_ && traits_.urgent && one_in(2)) step.kind = Kind::tcp;
        step.a = a;
        step.b = a == b ? (a + 1) % kSlots : b;
        return step;
    }

    Choices& choices_;
    Traits traits_;
    std::vector<Key> keys_;
    std::vector<unsigned> natures_;
    int queues_ = 1;
    bool unruly_ = false;
    bool specific_ = false;  // uses EV_UDATA_SPECIFIC
    bool states_ = false;    // EVFILT_EXCEPT, EVFILT_EMPTY, connections of TCP
    unsigned weights_[kWeights] = {};
};

}  // namespace

Program make_program(Choices& choices, const Traits& traits, int steps) {
    Maker maker(choices, traits);
    Program program;
    while (program.size() < static_cast<size_t>(steps) && !choices.over())
        program.push_back(maker.step(program.size()));
    return program;
}

}  // namespace kqmodel
