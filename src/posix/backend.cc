// SPDX-License-Identifier: BSD-2-Clause
// The backend of poll() and of pipes that are rung. See backend.h and platform.h.
#include "backend.h"

#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>

#include "dispositions.h"
#include "file_stat.h"
#include "nest.h"
#include "open_at.h"
#include "pending_signals.h"
#include "sys.h"

namespace kq {
// ---- life ----

const int Backend::kKqueue1Flags = O_CLOEXEC | O_NONBLOCK;

Errno Backend::open(uint32_t tag) {
    Errno error = doorbell::open(tag, bell_);
    if (error != Errno::ok) return error;
    public_.store(bell_->number.load());
    error = poller_.open(*bell_);
    if (error == Errno::ok) nest::publish(*bell_, poller_);
    return error;
}

Backend::~Backend() {
    if (bell_ == nullptr) return;
    nest::withdraw(*bell_);
    doorbell::close(*bell_, true);
}

void Backend::close_unpublished() {
    if (descriptor() >= 0) sys::close(descriptor());
    public_.store(-1);
}

void Backend::move_to(int descriptor) {
    public_.store(descriptor);
    (void)bells::move(*bell_, descriptor);  // -1 needs no entry
}

bool Backend::exists() const {
    return bell_ != nullptr && doorbell::is_open(*bell_);
}

void Backend::abandon_in_child() {
    if (bell_ == nullptr) return;
    // The user may have closed the kqueue before. Then the number may be a file of the user now.
    if (exists()) sys::close(descriptor());
    abandon_all_but_number();
}

void Backend::close_number(int number) {
    sys::close(number);
}

void Backend::abandon_all_but_number() {
    public_.store(-1);
    nest::abandon_in_child();
    bells::abandon_in_child();
    poller_.abandon_in_child();
    Children::abandon_in_child();
    doorbell::close(*bell_, false);
    bell_ = nullptr;
}

Errno Backend::open_at(int number, uint32_t tag) {
    return kq::open_at(*this, number, tag);
}

void Backend::close_in_child(int descriptor) {
    if (doorbell::tag_of(descriptor) != 0) sys::close(descriptor);
}

bool Backend::is_duplicate(int descriptor, int other) {
    struct stat a {};
    struct stat b {};
    return fstat(descriptor, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino && doorbell::tag_of(descriptor) != 0;
}

// ---- descriptors ----

Errno Backend::watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts) {
    if (bell_ == nullptr) return Errno::bad_descriptor;  // abandoned in a forked child
    return poller_.watch(fd, want, rearm, handle, facts);
}

// Collects what this library itself has to report. It comes before the reports of descriptors.
size_t Backend::collect_own(std::span<Wakeup> out, Nanos t) {
    size_t count = 0;
    const auto tell = [&out, &count](Handle handle) {
        if (count == out.size()) return false;
        out[count++] = {handle, 0, 0};
        return true;
    };
    if (!out.empty() && unheard_.exchange(false) && doorbell::hear(*bell_))
        (void)tell(Handle(Handle::Kind::announcement, 0, 0));
    for (const Clock clock : {Clock::monotonic, Clock::realtime}) {
        const Nanos due = poller_.deadline(clock);
        if (due == kForever || due > (clock == Clock::monotonic ? t : now(clock))) continue;
        if (tell(Handle(Handle::Kind::timers, static_cast<uint32_t>(clock), 0)))
            poller_.set_deadline(clock, kForever);
    }
    if (poller_.hears_signals() && pending_signals::are_news())
        (void)tell(Handle(Handle::Kind::signals, 0, 0));
    if (files_.look(t, !only_time_passed_.exchange(false)))
        (void)tell(Handle(Handle::Kind::files, 0, 0));
    count += children_.collect(out.subspan(count), t);
    return count;
}

Result<size_t> Backend::collect(std::span<Wakeup> out) {
    // Nothing else would notice that the public descriptor was closed.
    if (!exists()) return Errno::bad_descriptor;
    const Nanos t = now(Clock::monotonic);
    // If its own reports took all the room last time, as a timer that is always due would each
    // time, they come last now: R-47.
    const bool own_last = own_filled_;
    size_t count = own_last ? 0 : collect_own(out, t);
    own_filled_ = !own_last && count == out.size();
    bool readable = false;
    const Result<size_t> more = poller_.collect(out.subspan(count), readable);
    if (!more.ok() && count == 0) return more;  // otherwise the reports must not be lost
    if (more.ok()) count += more.value();
    // Without room for its report the pipe stays readable. The next call then hears it first.
    const bool room = count < out.size();
    unheard_ = readable && !room;
    if (readable && room && doorbell::hear(*bell_)) {
        out[count++] = {Handle(Handle::Kind::announcement, 0, 0), 0, 0};
        // A child may have rung after the look above. We have heard that ring, and it is not
        // repeated: so look again.
        count += children_.collect(out.subspan(count), t);
    }
    if (own_last) count += collect_own(out.subspan(count), t);
    if (children_.has_news()) doorbell::ring_owned(*bell_);  // so that poll() sees the news
    poller_.set_look(std::min(files_.next_look(), children_.next_look()));
    return count;
}

// ---- waiting ----

// A thread that is cancelled here leaves without cleaning up the shadow memory of its frame.
__attribute__((no_sanitize("address"))) Errno Backend::sleep(Nanos t) const {
    if (bell_ == nullptr) return Errno::bad_descriptor;
    const Nanos start = now(Clock::monotonic);
    const Nanos end = t == kForever ? kForever : saturating_add(start, t);
    Nanos until = end;
    // No handler tells us of signals that this thread blocks.
    const bool hears = poller_.hears_signals() || children_.are_watched();
    if (hears && pending_signals::are_blocked_here())
        until = std::min(end, start + pending_signals::kLookPeriod);
    const Errno error = poller_.wait(until);
    only_time_passed_.store(error == Errno::timed_out);
    return error == Errno::timed_out && until != end ? Errno::ok : error;
}

__attribute__((no_sanitize("address"))) Errno Backend::pause(Nanos t) {
    const timespec ts = to_timespec(t);
    return nanosleep(&ts, nullptr) == 0 ? Errno::ok : last_errno();
}

Errno Backend::announce(Announce how) {
    if (bell_ == nullptr) return Errno::bad_descriptor;
    if (how == Announce::ring)
        doorbell::ring_owned(*bell_);
    else
        doorbell::hold(*bell_, how == Announce::hold);
    return Errno::ok;
}

Errno Backend::post(int descriptor, uint32_t tag) {
    return bells::post(descriptor, tag);
}

Errno Backend::hear_signals() {
    poller_.hear_signals();
    return Errno::ok;
}

// Sleeping threads know only the deadline that was set before, so an earlier one wakes them.
void Backend::set_deadline(Clock clock, Nanos t) {
    const Nanos before = poller_.deadline(clock);
    if (t == before) return;
    poller_.set_deadline(clock, t);
    if (t < before) poller_.wake_sleepers_if_any();
}

// ---- files and processes ----

Errno Backend::watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    const Errno error = files_.set(fd, wanted, handle, facts);
    poller_.set_look(std::min(files_.next_look(), children_.next_look()));
    if (wanted != 0) poller_.wake_sleepers_if_any();
    return error;
}

Errno Backend::watch_process(int32_t pid, Handle handle, ProcessFacts& facts) {
    if (bell_ == nullptr) return Errno::bad_descriptor;
    return children_.watch(pid, handle, *bell_, facts);
}

}  // namespace kq
