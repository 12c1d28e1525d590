// SPDX-License-Identifier: BSD-2-Clause
// Event ports. See backend.h and platform.h; waiting is in backend_wait.cc.
#include "backend.h"

#include <algorithm>

#include "../posix/open_at.h"
#include "../posix/pending_signals.h"
#include "ports.h"

namespace kq {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kSifted = 16;
// After how long to try again what found no room in the port.
constexpr Nanos kRetry = 20 * kMillisecond;
// How often the library asks whether the kernel still has the associations.
constexpr Nanos kProbePeriod = 100 * kMillisecond;
// How long the things that are looked at wait at most while events of the port fill all the room.
constexpr Nanos kTurn = 20 * kMillisecond;

}  // namespace

// ---- life ----

const int Backend::kKqueue1Flags = O_CLOEXEC | O_NONBLOCK;

Errno Backend::open(uint32_t tag) {
    const Errno error = port_bell::open(tag, bell_);
    if (error == Errno::ok) public_.store(bell_->number.load());
    return error;
}

Backend::~Backend() {
    if (bell_ != nullptr) port_bell::close(*bell_, true);
}

void Backend::close_unpublished() {
    if (descriptor() >= 0) sys::close(descriptor());
    public_.store(-1);
}

// Another number of the port was closed, and with it the kernel has dropped all associations.
void Backend::move_to(int descriptor) {
    public_.store(descriptor);
    (void)bells::move(*bell_, descriptor);
    if (descriptor < 0) return;  // the number is not known yet
    for (PortTimer& timer : timers_)
        timer.remove();
    fds_.list_all();
    (void)fds_.settle(descriptor);
    files_.lost_all(descriptor);
}

bool Backend::exists() const {
    return bell_ != nullptr && port_bell::is_open(*bell_);
}

bool Backend::is_duplicate(int descriptor, int other) {
    const uint64_t file = port_bell::file_of(descriptor);
    return file != 0 && file == port_bell::file_of(other);
}

// The associations are the parent's, and closing this copy leaves them alone.
void Backend::abandon_in_child() {
    if (bell_ == nullptr) return;
    // The program may have closed the kqueue before, and the number may be its file now.
    if (exists()) sys::close(descriptor());
    abandon_all_but_number();
}

void Backend::close_number(int number) {
    sys::close(number);
}

void Backend::abandon_all_but_number() {
    public_.store(-1);
    bells::abandon_in_child();
    Children::abandon_in_child();
    for (PortTimer& timer : timers_)
        timer.abandon_in_child();
    port_bell::close(*bell_, false);
    bell_ = nullptr;
}

// Nothing was associated yet that could be lost when the first number is closed.
Errno Backend::open_at(int number, uint32_t tag) {
    return kq::open_at(*this, number, tag);
}

void Backend::close_in_child(int descriptor) {
    if (port_bell::tag_of(descriptor) != 0) sys::close(descriptor);
}

// ---- descriptors ----

Errno Backend::watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts) {
    if (bell_ == nullptr) return Errno::bad_descriptor;  // abandoned in a forked child
    if (port_bell::file_of(fd) == bell_->file.load()) return Errno::invalid;
    return fds_.watch(descriptor(), fd, want, rearm, handle, facts, is_in_transit());
}

Errno Backend::still(int fd, FdFacts& facts) {
    return fds_.still(descriptor(), fd, facts, is_in_transit());
}

// ---- collecting ----

class Backend::Answer {
  public:
    explicit Answer(std::span<Wakeup> out) : out_(out) {}
    bool tell(Handle handle) {
        if (room() == 0) return false;
        out_[count_++] = {handle, 0, 0};
        return true;
    }
    [[nodiscard]] size_t room() const { return out_.size() - count_; }
    // The free rest, for a function that returns how much of it it has used.
    [[nodiscard]] std::span<Wakeup> rest() const { return out_.subspan(count_); }
    void note(size_t used) { count_ += used; }
    [[nodiscard]] size_t count() const { return count_; }

  private:
    std::span<Wakeup> out_;
    size_t count_ = 0;
};

// Reports the ring, if there was one. Where there is no room for the report, it is rung again.
void Backend::hear(Answer& answer) {
    if (!bell_->ring.hear()) return;
    if (!answer.tell(Handle(Handle::Kind::announcement, 0, 0))) bells::ring(*bell_);
}

// What the library itself has to report.
void Backend::collect_own(Answer& answer, Nanos t) {
    if (bell_->unsent.exchange(false)) hear(answer);
    for (const Clock clock : {Clock::monotonic, Clock::realtime}) {
        Nanos& due = wanted_[static_cast<size_t>(clock)];
        if (due == kForever || due > (clock == Clock::monotonic ? t : now(clock))) continue;
        if (answer.tell(Handle(Handle::Kind::timers, static_cast<uint32_t>(clock), 0)))
            due = kForever;
    }
    if (hears_signals_.load() && pending_signals::are_news())
        (void)answer.tell(Handle(Handle::Kind::signals, 0, 0));
    if (files_.look(t, !only_time_passed_.exchange(false)))
        (void)answer.tell(Handle(Handle::Kind::files, 0, 0));
    answer.note(fds_.look(descriptor(), t, answer.rest(), is_in_transit()));
}

bool Backend::is_wake(const port_event_t& event) const {
    return event.portev_source == PORT_SOURCE_USER && event.portev_events == port_bell::kWake &&
           port_bell::is_for(*bell_, event.portev_user);
}

// The tokens of this kqueue; those of another one that had the number before are dropped.
void Backend::take_token(const port_event_t& event, Answer& answer) {
    if (!port_bell::is_for(*bell_, event.portev_user)) return;
    if (event.portev_events == port_bell::kHold) {
        hold_sent_ = false;
        if (held_) (void)answer.tell(Handle(Handle::Kind::announcement, 1, 0));
    } else if (event.portev_events == port_bell::kWake) {
        wake_sent_ = false;
    } else {
        hear(answer);
    }
}

void Backend::take_event(const port_event_t& event, Answer& answer) {
    switch (event.portev_source) {
        case PORT_SOURCE_FD:
            answer.note(fds_.report(descriptor(), event, answer.rest()));
            break;
        case PORT_SOURCE_USER:
            take_token(event, answer);
            break;
        case PORT_SOURCE_TIMER:  // collect_own() asks the clock
            for (PortTimer& timer : timers_)
                if (timer.user() == event.portev_user) timer.heard();
            break;
        case PORT_SOURCE_FILE: {
            const bool told = files_.has_news();
            files_.report(event);
            if (!told && files_.has_news()) (void)answer.tell(Handle(Handle::Kind::files, 0, 0));
            break;
        }
        default:
            break;
    }
}

// Each event has one place. An event that needs two may take the place of a later one, which then
// comes again.
Errno Backend::collect_port(Answer& answer) {
    port_event_t event;
    while (answer.room() > 0 && inbox_.take({&event, 1}) == 1)
        take_event(event, answer);
    port_event_t events[kBatch];
    while (answer.room() > 0) {
        const size_t most = std::min(answer.room(), kBatch);
        size_t count = 0;
        const Errno error = ports::take(descriptor(), events, most, count);
        bell_->taken.fetch_add(static_cast<int64_t>(count));
        for (size_t i = 0; i < count; i++)
            take_event(events[i], answer);
        if (error != Errno::ok) return error;
        if (count < most) break;
    }
    return Errno::ok;
}

// The kernel does not report that the program has closed a duplicate of the port. That ends all
// associations.
void Backend::probe(Nanos t) {
    probe_at_.store(kForever);
    if (t - probed_at_ < kProbePeriod) {
        probe_at_.store(probed_at_ + kProbePeriod);
        return;
    }
    probed_at_ = t;
    if (fds_.probe(descriptor(), is_in_transit())) make_good();
}

// Any event may be missing, so everything has to be reported again.
void Backend::make_good() {
    fds_.list_all();
    files_.lost_all(descriptor());
    for (PortTimer& timer : timers_)
        timer.heard();
    bell_->unsent.store(true);
    hold_sent_ = wake_sent_ = false;
}

// The events of the port come first, because rings for all the rest are in the port, too. If they
// take all the room, the rest has its turn now and then.
Result<size_t> Backend::collect(std::span<Wakeup> out) {
    // Events of another kqueue must not be taken.
    if (!exists()) return Errno::bad_descriptor;
    if (lost_.exchange(false)) make_good();
    const Nanos t = now(Clock::monotonic);
    probe(t);
    Answer answer(out);
    const bool own_first = !own_filled_ && t - looked_at_ >= kTurn;
    children_.look(t);
    if (own_first) collect_own(answer, t);
    own_filled_ = own_first && answer.room() == 0;
    // The thread that brought a report may be the one that collects now. Then no thread comes for
    // it any more, and its event is not in the port.
    if (own_filled_ && inbox_.has_report()) wake();
    const Errno error = collect_port(answer);
    if (error != Errno::ok && answer.count() == 0) return error;
    if (!own_first) collect_own(answer, t);
    if (own_first || answer.room() > 0) looked_at_ = t;
    answer.note(children_.collect(answer.rest(), t));
    look_at_.store(std::min(files_.next_look(), children_.next_look()));
    return answer.count();
}

// ---- the promise ----

Errno Backend::announce(Announce how) {
    if (bell_ == nullptr || !exists()) return Errno::bad_descriptor;
    if (how == Announce::ring)
        bells::ring(*bell_);
    else
        held_ = how == Announce::hold;  // its token is sent by settle()
    return Errno::ok;
}

Errno Backend::hear_signals() {
    if (!hears_signals_.exchange(true)) sleepers_must_look_ = true;
    return Errno::ok;
}

void Backend::set_deadline(Clock clock, Nanos t) {
    const auto c = static_cast<size_t>(clock);
    wanted_[c] = t;
    deadlines_[c].store(timers_[c].set(descriptor(), t) ? kForever : t);
}

// Wakes a sleeping thread, or the next that would sleep, so that it collects. Noted before it is
// sent, because a thread that takes the token clears the note.
void Backend::wake() {
    if (!wake_sent_.exchange(true) && !send(port_bell::kWake)) wake_sent_.store(false);
}

// Takes all events out of the port, out of turn. Events that are still to be reported will come
// again. This also takes in news of files, and tokens: a token cannot be taken back after it was
// sent. But the token that wakes a thread is sent again: its reason may still be there.
void Backend::sift() {
    port_event_t events[kSifted];
    size_t count = 0;
    if (!exists() || ports::take(descriptor(), events, kSifted, count) != Errno::ok) return;
    bell_->taken.fetch_add(static_cast<int64_t>(count));
    bool was_wake = false;
    for (const port_event_t& event : std::span(events, count)) {
        Answer no_room({});
        was_wake = was_wake || is_wake(event);
        take_event(event, no_room);
    }
    if (was_wake) wake();
}

void Backend::take_files(FileWatch::Tell tell, void* context) {
    if (bell_ == nullptr) return;
    if (!files_.has_news() && files_.hears()) sift();
    files_.take(descriptor(), tell, context);
}

// The number may name another port now, which must be left alone.
bool Backend::send(port_bell::Token token) {
    return exists() && port_bell::send(*bell_, token) == Errno::ok;
}

void Backend::settle(Nanos monotonic, Nanos realtime) {
    if (bell_ == nullptr) return;
    const Nanos t = now(Clock::monotonic);
    const bool held = is_held();
    if (!held && hold_sent_) sift();
    if (!fds_.is_settled() && exists() && !fds_.settle(descriptor()))
        look_at_.store(std::min(look_at_.load(), t + kRetry));
    fds_.plan();
    set_deadline(Clock::monotonic, monotonic);
    set_deadline(Clock::realtime, realtime);
    if (files_.has_news()) bells::ring(*bell_);  // there was no room to report them
    if (held && !hold_sent_) hold_sent_ = send(port_bell::kHold);
    Nanos next = next_look(t);
    publish_look(t);
    // A thread that slept already before signals were watched does not look for those it blocks.
    if (sleepers_must_look_) next = std::min(next, t + pending_signals::kLookPeriod);
    sleepers_must_look_ = false;
    if (next != kForever && sleepers_.oversleep(next)) wake();
}

// ---- files and processes ----

Errno Backend::watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    const Errno error = files_.set(descriptor(), fd, wanted, handle, facts);
    look_at_.store(std::min(files_.next_look(), children_.next_look()));
    return error;
}

Errno Backend::watch_process(int32_t pid, Handle handle, ProcessFacts& facts) {
    if (bell_ == nullptr) return Errno::bad_descriptor;
    if (!children_.are_watched()) sleepers_must_look_ = true;  // for SIGCHLD
    return children_.watch(pid, handle, *bell_, facts);
}

}  // namespace kq
