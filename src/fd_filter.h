// SPDX-License-Identifier: BSD-2-Clause
// What EVFILT_READ and EVFILT_WRITE share: the verbs of filter.h except process(), and the way from
// a sample of the descriptor to a verdict. Used by filter_read.cc and filter_write.cc. Lock: the
// kqueue's mutex.
#ifndef KQ_FD_FILTER_H
#define KQ_FD_FILTER_H

#include <limits.h>

#include "fd_watch.h"
#include "filter.h"

namespace kq::fd_filter {

// The verbs, see FilterOps.
KQ_INLINE Result<Knote*> find_in(const FdWatch* watch, uintptr_t ident, int16_t filter) {
    if (watch != nullptr) return fd_watch::plain_note_of(*watch, filter);
    return ident > INT_MAX ? Result<Knote*>(Errno::bad_descriptor) : nullptr;
}
inline Result<Knote*> find(KnoteQueue& kq, uintptr_t ident, int16_t filter)
    KQ_REQUIRES(kq.mutex()) {
    return find_in(kq.watches().find(ident), ident, filter);
}
Errno absent(uintptr_t ident);
// Checks the bits of fflags, and returns the answer of the change. bad_descriptor comes before an
// error for the bits (2.4).
Errno check_notes(const struct kevent& change);
KQ_INLINE Result<Knote*> create(KnoteQueue& kq, const struct kevent& change)
    KQ_REQUIRES(kq.mutex()) {
    // Nearly all changes ask for NOTE_LOWAT or for nothing.
    Errno error = (change.fflags & ~uint32_t{NOTE_LOWAT}) == 0 ? Errno::ok : check_notes(change);
    if (error == Errno::ok) error = fd_watch::prepare(kq, change.ident);
    if (error != Errno::ok) return error;
    auto* kn = kq.fd_knotes().make<FdKnote>();
    if (kn == nullptr) return Errno::no_memory;
    kn->saved_fflags = change.fflags;
    kn->data = change.data;
    return kn;
}
inline void destroy(KnoteQueue& kq, Knote* kn) KQ_REQUIRES(kq.mutex()) {
    kq.fd_knotes().destroy(static_cast<FdKnote*>(kn));
}
Errno attach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
// Where a silent registration is re-armed: see asks_public() in optional_members.h.
inline bool asks_queue(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    const FdWatch* watch = kq.watches().find(ident);
    return watch != nullptr && asks_public<Backend>(watch->facts);
}
Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
// As KnoteQueue::drop().
Errno drop(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Errno modify(KnoteQueue& kq, Knote& kn, const struct kevent& change) KQ_REQUIRES(kq.mutex());
Errno enable_now(KnoteQueue& kq, FdWatch& watch, Knote& kn) KQ_REQUIRES(kq.mutex());
// Whether a knote that is enabled is still armed, because its report was not collected yet. That
// report will come.
KQ_INLINE bool is_still_armed(const FdFacts& facts, const FdKnote& kn) {
    const Mode armed = facts.armed_for(direction_of(kn));
    return (armed == Mode::level || armed == Mode::once) && armed == fd_watch::mode_for(&kn);
}
KQ_INLINE Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    FdWatch& watch = fd_watch::watch_of(kq, kn);
    return is_still_armed(watch.facts, static_cast<FdKnote&>(kn)) ? Errno::ok
                                                                  : enable_now(kq, watch, kn);
}
void stop_watching(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
KQ_INLINE void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kq.set_backed(kn, false);
    kn.clear(kActive);  // enable() arms it afresh, and it will be reported if still true
    if ((kn.filter_bits & kWatched) != 0) stop_watching(kq, kn);
}

// Samples an unpollable descriptor for reading. `report`: it is true and, with EV_CLEAR, news.
// Otherwise, and after a report with EV_CLEAR, the knote is parked: the offset of a file moves
// without notice, so it is looked at again before each sleep. The backend reports when a file
// grows. `gone`: it is not open, or another file; nothing was done.
Verdict look_at_file(KnoteQueue& kq, FdKnote& kn, Sample& sample) KQ_REQUIRES(kq.mutex());

// Looks at an unpollable knote and activates it if it is true, even with EV_CLEAR, where that may
// be no news.
void look_again(KnoteQueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex());

// The verb `look`. It may also leave the knote off the list: then edges report it.
void look_parked(KnoteQueue& kq, Knote& base) KQ_REQUIRES(kq.mutex());

// After a report: looks at the knote before the next sleep, if with EV_CLEAR something may be left
// that no edge will report.
void watch_leftover(KnoteQueue& kq, FdKnote& kn, const Sample& sample) KQ_REQUIRES(kq.mutex());

// For how many ticks the answer to "is it still the file that was registered?" is valid for all
// reports.
inline constexpr uint32_t kOld = 8;

// If the last answer is older than one tick, the question is asked for one of so many reports.
inline constexpr uint32_t kAskedAmong = 8;

// Whether to ask for a report of this pass: is it still the file that was registered? The kernel
// reports that file, even if the number names another one now. To ask each time would cost too
// much. So the question is asked for descriptors that are not busy, now and then for others, and
// always for knotes that waited on the queue.
inline bool is_to_be_asked(KnoteQueue& kq, const FdKnote& kn) KQ_REQUIRES(kq.mutex()) {
    const uint32_t age = kq.tick() - kn.sequence;
    return age != 0 && (age >= kOld || kq.pass() % kAskedAmong == 0);
}

// Whether the knote is true, with its low-water mark if it has one.
inline bool reached(const FdKnote& kn, const Sample& sample) {
    const bool marked = (kn.saved_fflags & NOTE_LOWAT) != 0 && kn.data > 0;
    return sample.eof || (marked && !sample.unmarked ? sample.data >= kn.data : sample.active);
}

// Whether a knote that is not true can become true without an edge. For example, free space grows
// silently as long as the kernel calls the socket writable.
inline bool needs_recheck(const FdKnote& kn, const Sample& sample) {
    const bool grows = kn.filter == EVFILT_WRITE && (kn.saved_fflags & NOTE_LOWAT) != 0;
    return grows || sample.untold;
}

// Copies a sample into the event to be reported; data saturates on ILP32.
inline void fill(const Sample& sample, struct kevent& event) {
    event.fflags = sample.error;
    event.data = sample.data > INTPTR_MAX   ? INTPTR_MAX
                 : sample.data < INTPTR_MIN ? INTPTR_MIN
                                            : static_cast<intptr_t>(sample.data);
    if (sample.eof) event.flags |= EV_EOF;
}

// current_ready(), in the cases in which it has to ask the kernel.
uint16_t ask_anew(KnoteQueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex());

// The kernel's Ready bits for a knote whose turn has come: those just reported,
// or, if that was in an earlier pass, what the descriptor says now.
KQ_INLINE uint16_t current_ready(KnoteQueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex()) {
    const bool fresh = kn.pass == kq.pass() && (kn.filter_bits & kUnpollable) == 0;
    if (fresh && !reports_snapshots<Backend>() && !is_to_be_asked(kq, kn)) return kn.ready;
    return ask_anew(kq, kn);
}

// Bits of a knote for which the kernel's report is not enough.
inline constexpr uint8_t kInDoubt = kDoubted | kForcedEdge | kLeftover;

// Whether the kernel's report is enough for a descriptor, except for the amount: it is a pipe, or a
// stream that was seen to be a connection and so is no listener; it has no mark and is not doubted.
template <Direction d>
KQ_INLINE bool may_be_plain(const FdKnote& kn, const FdFacts& facts) {
    constexpr unsigned kOtherwise = kInDoubt | kUnpollable;
    if ((kn.saved_fflags & NOTE_LOWAT) != 0 || (kn.filter_bits & kOtherwise) != 0) return false;
    if (facts.kind == FdKind::pipe)
        return d == Direction::read ? facts.readable_end : facts.writable_end;
    return is_stream(facts.kind) && facts.was_alive && !facts.has_ended;
}
// Whether what the kernel reports is plain, too: in use, not at its end, without an error.
template <Direction d>
KQ_INLINE bool is_plain(uint16_t ready) {
    constexpr unsigned kWanted = d == Direction::read ? kReadable : kWritable;
    return (ready & kWanted) != 0 && (ready & ~unsigned{kReadable | kWritable}) == 0;
}

// Whether the program does not want `data` counted (NOTE_COUNT_DATA), and nothing else has to be
// found out: then it is 1. The kernel does not report by itself that the sending side of a stream
// was shut.
template <Direction d>
KQ_INLINE bool is_uncounted(KnoteQueue& kq, const FdKnote& kn, const FdFacts& facts, uint16_t ready)
    KQ_REQUIRES(kq.mutex()) {
    return !kq.counts_data() && (d == Direction::read || facts.kind == FdKind::pipe) &&
           is_plain<d>(ready) && may_be_plain<d>(kn, facts);
}

// Looks at a knote whose turn has come for the usual event, without the special cases of process():
// `yes`, and this is its `data`. `no`: process() is to be asked. `gone`: it is not the file that
// was registered, which process() would not find out any more.
enum class Plainly : uint8_t { yes, no, gone };
template <Direction d>
KQ_INLINE Plainly look_plainly(KnoteQueue& kq, FdKnote& kn, const FdFacts& facts, int64_t& data)
    KQ_REQUIRES(kq.mutex()) {
    if (reports_snapshots<Backend>() || !may_be_plain<d>(kn, facts)) return Plainly::no;
    const uint16_t ready = current_ready(kq, kn);
    if (!is_plain<d>(ready)) return (ready & kClosed) != 0 ? Plainly::gone : Plainly::no;
    data = 1;
    if (!is_uncounted<d>(kq, kn, facts, ready))
        data = d == Direction::read ? bytes_to_read<Backend>(fd_watch::fd_of(kn))
                                    : room_to_write<Backend>(fd_watch::fd_of(kn), facts);
    return data > 0 ? Plainly::yes : Plainly::no;
}
KQ_INLINE Plainly look_plainly(KnoteQueue& kq, FdKnote& kn, const FdFacts& facts, int64_t& data)
    KQ_REQUIRES(kq.mutex()) {
    return kn.filter == EVFILT_READ ? look_plainly<Direction::read>(kq, kn, facts, data)
                                    : look_plainly<Direction::write>(kq, kn, facts, data);
}

// judge(), in the cases in which it has more to do than to fill the event.
Verdict judge_otherwise(KnoteQueue& kq, FdKnote& kn, const Sample& sample, struct kevent& event)
    KQ_REQUIRES(kq.mutex());

// Turns a sample into a verdict; fills the event if it is to be reported, and
// decides how the kernel shall go on if it is not.
KQ_INLINE Verdict judge(KnoteQueue& kq, FdKnote& kn, const Sample& sample, struct kevent& event)
    KQ_REQUIRES(kq.mutex()) {
    const bool plain = sample.active && !sample.closed && !sample.uncounted &&
                       (kn.saved_fflags & NOTE_LOWAT) == 0 && (kn.filter_bits & kInDoubt) == 0;
    if (!plain) return judge_otherwise(kq, kn, sample, event);
    fill(sample, event);
    return Verdict::report;
}

}  // namespace kq::fd_filter

#endif
