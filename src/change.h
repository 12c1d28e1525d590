// SPDX-License-Identifier: BSD-2-Clause
// One changelist entry, inlined: find, modify, delete, enable, disable. Creating a knote and
// answering a change are in change.cc. The EV_ rules of registration are in these two files and in
// specific.cc (semantics 2.2, 3). at_once.h and fd_usual.h repeat them for usual cases. No other
// file has them. Lock: the kqueue's mutex.
#ifndef KQ_CHANGE_H
#define KQ_CHANGE_H

#include "fd_filter.h"
#include "fd_usual.h"
#include "kqueue.h"
#include "registry.h"
#include "trace.h"

namespace kq {

// The verbs of a filter (filter.h). Most knotes are of descriptors: OfDescriptors calls the verbs
// of EVFILT_READ and EVFILT_WRITE directly, so that they are inlined. ByTable calls the verbs of
// any filter through its table. OfTimers and OfUsers call the verbs of one row, which the compiler
// knows, so that these can be inlined when the library is linked.
constexpr bool is_of_descriptors(int16_t filter) {
    return filter == EVFILT_READ || filter == EVFILT_WRITE;
}
struct OfDescriptors {
    static constexpr bool kOfDescriptors = true;
    explicit OfDescriptors(int16_t filter) : filter_(filter) {}
    [[nodiscard]] static bool known() { return true; }
    [[nodiscard]] static Errno absent(uintptr_t ident) { return fd_filter::absent(ident); }
    [[nodiscard]] KQ_INLINE static bool asks_queue(KnoteQueue& kq, uintptr_t ident)
        KQ_REQUIRES(kq.mutex()) {
        return fd_filter::asks_queue(kq, ident);
    }
    [[nodiscard]] KQ_INLINE static Result<Knote*> create(KnoteQueue& kq,
                                                         const struct kevent& change)
        KQ_REQUIRES(kq.mutex()) {
        return fd_filter::create(kq, change);
    }
    static void destroy(KnoteQueue& kq, Knote* kn) KQ_REQUIRES(kq.mutex()) {
        fd_filter::destroy(kq, kn);
    }
    [[nodiscard]] static Errno attach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
        return fd_filter::attach(kq, kn);
    }
    static Errno drop(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
        return fd_filter::drop(kq, kn);
    }
    [[nodiscard]] KQ_INLINE Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) const
        KQ_REQUIRES(kq.mutex()) {
        return fd_filter::find(kq, ident, filter_);
    }
    KQ_INLINE static Errno modify(KnoteQueue& kq, Knote& kn, const struct kevent& change)
        KQ_REQUIRES(kq.mutex()) {
        return fd_filter::modify(kq, kn, change);
    }
    // Whether a change triggers its knote (NOTE_TRIGGER).
    [[nodiscard]] static bool triggers(const struct kevent& /*change*/) { return false; }
    KQ_INLINE static Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
        return fd_filter::enable(kq, kn);
    }
    KQ_INLINE static void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
        fd_filter::disable(kq, kn);
    }

  private:
    int16_t filter_;
};
class RowOf {
  public:
    explicit RowOf(int16_t filter) : ops_(find_filter(filter)) {}
    explicit RowOf(const Knote& kn) : ops_(ops_of(kn)) {}
    [[nodiscard]] const FilterOps* ops() const { return ops_; }

  private:
    const FilterOps* ops_;
};
template <const FilterOps& kOps>
struct RowIs {
    explicit RowIs(int16_t /*filter*/) {}
    [[nodiscard]] static const FilterOps* ops() { return &kOps; }
};
template <class Row>
struct Through : Row {
    static constexpr bool kOfDescriptors = false;
    using Row::ops;
    explicit Through(int16_t filter) : Row(filter) {}
    explicit Through(const Knote& kn) : Row(kn) {}
    [[nodiscard]] bool known() const { return ops() != nullptr; }
    [[nodiscard]] Errno absent(uintptr_t ident) const { return ops()->absent(ident); }
    [[nodiscard]] bool asks_queue(KnoteQueue& kq, uintptr_t ident) const KQ_REQUIRES(kq.mutex()) {
        return ops()->asks_queue != nullptr && ops()->asks_queue(kq, ident);
    }
    [[nodiscard]] Result<Knote*> create(KnoteQueue& kq, const struct kevent& change) const
        KQ_REQUIRES(kq.mutex()) {
        return ops()->create(kq, change);
    }
    void destroy(KnoteQueue& kq, Knote* kn) const KQ_REQUIRES(kq.mutex()) {
        ops()->destroy(kq, kn);
    }
    [[nodiscard]] Errno attach(KnoteQueue& kq, Knote& kn) const KQ_REQUIRES(kq.mutex()) {
        return ops()->attach(kq, kn);
    }
    static Errno drop(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) { return kq.drop(kn); }
    Verdict process(KnoteQueue& kq, Knote& kn, struct kevent& event) const KQ_REQUIRES(kq.mutex()) {
        return ops()->process(kq, kn, event);
    }
    [[nodiscard]] Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) const
        KQ_REQUIRES(kq.mutex()) {
        return ops()->find(kq, ident);
    }
    [[nodiscard]] Errno modify(KnoteQueue& kq, Knote& kn, const struct kevent& change) const
        KQ_REQUIRES(kq.mutex()) {
        return ops()->modify(kq, kn, change);
    }
    [[nodiscard]] static bool triggers(const struct kevent& change) {
        return change.filter == EVFILT_USER && (change.fflags & NOTE_TRIGGER) != 0;
    }
    [[nodiscard]] Errno enable(KnoteQueue& kq, Knote& kn) const KQ_REQUIRES(kq.mutex()) {
        return ops()->enable(kq, kn);
    }
    void disable(KnoteQueue& kq, Knote& kn) const KQ_REQUIRES(kq.mutex()) {
        ops()->disable(kq, kn);
    }
};
using ByTable = Through<RowOf>;
using OfTimers = Through<RowIs<kTimerFilter>>;
using OfUsers = Through<RowIs<kUserFilter>>;

// Applies a change to an existing knote. The flags ONESHOT, CLEAR, DISPATCH and RECEIPT stay as the
// creating EV_ADD set them. A disabled knote stays disabled unless EV_ENABLE is given. A pending
// event stays pending.
template <class Verbs>
KQ_INLINE Errno Kqueue::modify_knote(Verbs verbs, Knote& kn, const struct kevent& change) {
    // A bare EV_ENABLE or EV_DISABLE leaves the filter's request alone (D-11),
    // except a trigger that comes with it. So does EV_FORCEONESHOT.
    const bool bare = (change.flags & EV_ADD) == 0 &&
                      (change.flags & (EV_ENABLE | EV_DISABLE | EV_FORCEONESHOT)) != 0;
    if (!bare || verbs.triggers(change)) {
        const bool enables = (change.flags & EV_ENABLE) != 0 && kn.has(kDisabled);
        const Errno error =
            enables ? modify_and_enable(kn, change) : verbs.modify(*this, kn, change);
        if (error != Errno::ok) return error;
    }
    if ((change.flags & EV_ENABLE) != 0 && kn.has(kDisabled)) {
        kn.clear(kDisabled);
        const Errno error = verbs.enable(*this, kn);
        if (is_gone(error)) return error;  // and dropped
        if (error != Errno::ok) {
            kn.set(kDisabled);
            return error;
        }
        if (kn.has(kActive)) activate(kn);
    } else if ((change.flags & EV_DISABLE) != 0 && !kn.has(kDisabled)) {
        kn.set(kDisabled);
        const bool was_active = kn.has(kActive);
        deactivate(kn);
        if (was_active) kn.set(kActive);  // remembered, but not queued until EV_ENABLE
        verbs.disable(*this, kn);
    }
    if ((change.flags & EV_KEEPUDATA) == 0) kn.udata = change.udata;
    if ((change.flags & EV_FORCEONESHOT) != 0) kn.set(kForced);
    if (kn.has(kForced)) force(kn);
    return Errno::ok;
}

// Whether the flags of a change cannot be given together.
inline bool is_contradictory(unsigned flags) {
    if ((flags & (EV_DISABLE | EV_KEEPUDATA)) == 0) return false;
    const auto has = [flags](unsigned both) { return (flags & both) == both; };
    return has(EV_ENABLE | EV_DISABLE) || has(EV_ADD | EV_KEEPUDATA);
}

// Whether specific.cc has the rules of a change.
inline bool is_specific(unsigned flags) {
    return (flags & (EV_UDATA_SPECIFIC | EV_VANISHED)) != 0;
}

// Tests the flags of both functions above at once. False: both functions answer false.
inline bool is_unusual(unsigned flags) {
    return (flags & (EV_DISABLE | EV_KEEPUDATA | EV_UDATA_SPECIFIC | EV_VANISHED)) != 0;
}

// EV_ADD of the first knote of a descriptor, if the change has only the usual flags. False: nothing
// was done.
KQ_INLINE bool Kqueue::add_in_place(FdWatch& watch, const struct kevent& change, Errno& answer) {
    constexpr unsigned kKept = EV_ADD | EV_CLEAR | EV_ONESHOT | EV_DISPATCH | EV_RECEIPT;
    const unsigned flags = change.flags;
    if ((flags & EV_ADD) == 0 || (flags & ~(kKept | EV_ENABLE)) != 0) return false;
    return fd_filter::add_usually(*this, watch, change, kept_flags(flags), answer);
}

// `kMany`: the change is one of a list. Then add_in_place() is inlined.
template <class Verbs, bool kMany>
KQ_INLINE Errno Kqueue::register_by(const struct kevent& change) {
    const Verbs verbs(change.filter);
    if (!verbs.known()) return Errno::invalid;
    Result<Knote*> found = nullptr;
    if constexpr (Verbs::kOfDescriptors) {
        Errno answer = Errno::ok;
        FdWatch* watch = watches_.find(change.ident);
        if (watch != nullptr && watch->notes != nullptr)
            found = fd_watch::plain_note_of(*watch, change.filter);
        else if (watch != nullptr &&
                 (kMany ? add_in_place(*watch, change, answer) : add_first(*watch, change, answer)))
            return answer;
        else
            found = fd_filter::find_in(watch, change.ident, change.filter);
    }
    if (is_unusual(change.flags)) {
        if (is_contradictory(change.flags)) return Errno::invalid;
        if (is_specific(change.flags)) return register_specific(change);
    }
    if constexpr (!Verbs::kOfDescriptors) found = verbs.find(*this, change.ident);
    return found.ok() ? register_found(verbs, found.value(), change) : found.error();
}

// The rest of register_by(). The flags are not contradictory.
template <class Verbs>
KQ_INLINE Errno Kqueue::register_found(Verbs verbs, Knote* kn, const struct kevent& change) {
    const unsigned flags = change.flags;
    if (kn == nullptr) {
        if ((flags & EV_ADD) == 0) return verbs.absent(change.ident);
        return create_knote(verbs, change);
    }
    // If the number names another kqueue now, the change belongs to a knote of that one.
    if (registry::several.load(std::memory_order_relaxed) && check_exists() != Errno::ok)
        return Errno::bad_descriptor;
    const bool remove = (flags & EV_DELETE) != 0;
    const Errno error = remove ? verbs.drop(*this, *kn) : modify_knote(verbs, *kn, change);
    // The ident names something else now, and its old knotes are gone: the change creates a new
    // one.
    if (error == Errno::no_entry && (flags & EV_ADD) != 0) return create_knote(verbs, change);
    return error;
}

// Whether answer_change() has anything to do.
inline bool is_to_be_answered(const struct kevent& change, Errno error) {
    return error != Errno::ok || (change.flags & EV_RECEIPT) != 0 ||
           trace_enabled(TraceLevel::trouble);
}

KQ_INLINE Errno Kqueue::register_change(const struct kevent& change) {
    return is_of_descriptors(change.filter) ? register_by<OfDescriptors>(change)
                                            : register_by<ByTable>(change);
}

// Applies the changes in order. Each failure or receipt takes an entry of the eventlist. `stopped`
// is set if an entry was written, or if there was no room for one: then the call collects nothing.
// Returns the number of entries, or an error of the call. Most calls with changes have one change
// that needs no answer: that case is inlined.
KQ_INLINE Result<int> Kqueue::apply_changes(const struct kevent* changes, int nchanges,
                                            struct kevent* events, int nevents, bool& stopped) {
    if (nchanges != 1) return apply_list(changes, nchanges, events, nevents, stopped);
    const Errno error = register_change(*changes);
    if (__builtin_expect(!is_to_be_answered(*changes, error), 1)) return 0;
    Result<int> end = 0;
    const int written = answer_change(*changes, error, events, nevents, 0, end);
    stopped = written != 0;
    return written < 0 ? end : written;
}

}  // namespace kq

#endif
