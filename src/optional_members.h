// SPDX-License-Identifier: BSD-2-Clause
// Members that a Backend may have beside those of its contract (platform.h): answers to questions
// that matter for few kernels, and shorter ways for frequent operations. For each member there is a
// function here that the core calls; it works for every backend. Included by platform.h. Lock: as
// there.
#ifndef KQ_OPTIONAL_MEMBERS_H
#define KQ_OPTIONAL_MEMBERS_H

#include <concepts>
#include <span>

#include "check.h"
#include "platform_types.h"

namespace kq {

// A member that a backend may have: whether watch() of fd, in its present state of registration,
// answers no_entry if the public descriptor names another queue now, in which fd is not registered.
// Then the core need not call exists() before. Makes no system call.
//     static bool asks_public(const FdFacts& facts);
template <class B>
bool asks_public(const FdFacts& facts) {
    if constexpr (requires { B::asks_public(facts); })
        return B::asks_public(facts);
    else
        return false;
}

// Another one, where post() cannot tell the queues of this process from each other: whether fd
// names the one of this tag. Any thread, and signal handlers.
//     static bool is_queue_of(int fd, uint32_t tag);
template <class B>
Errno post_to(int fd, uint32_t tag) {
    if constexpr (requires { B::is_queue_of(fd, tag); })
        if (!B::is_queue_of(fd, tag)) return Errno::bad_descriptor;
    return B::post(fd, tag);
}

// Another one: whether a wakeup tells what was true when the source became ready, and not what is
// true when it is collected. Then the core asks descriptor::poll() before it reports anything.
//     static bool reports_snapshots();
template <class B>
bool reports_snapshots() {
    if constexpr (requires { B::reports_snapshots(); })
        return B::reports_snapshots();
    else
        return false;
}

// Another one: whether one answer of collect() has each direction of each descriptor once at most.
// Then the core may deliver one report before it has seen the next.
//     static bool tells_once();
template <class B>
constexpr bool tells_once() {
    if constexpr (requires { B::tells_once(); })
        return B::tells_once();
    else
        return false;
}

// Another one: collect() also reports a registered number that is closed, or names another file: a
// wakeup with kClosed and nothing else. Then the backend has forgotten this number.
//     static constexpr bool kTellsClosed = true;
template <class B>
constexpr bool tells_closed() {
    if constexpr (requires { B::kTellsClosed; })
        return B::kTellsClosed;
    else
        return false;
}

// Another one, where there is Clock::continuous: as settle(), for that clock; the core calls it
// when the earliest of its deadlines may have changed. prepare_clock(), now() and wakeups are as
// for the other clocks; unsupported: this kernel has no such clock.
//     void settle_continuous(Nanos t);
template <class B>
constexpr bool has_continuous_clock() {
    return requires(B b, Nanos t) {
        b.settle_continuous(t);
    };
}
template <class B>
void settle_continuous(B& backend, Nanos t) {
    if constexpr (has_continuous_clock<B>()) backend.settle_continuous(t);
}

// Three more, for a backend that has to translate its kernel's reports: collect() in two steps.
// look() is the first step. It returns the number of reports, or a negative errno, and does not
// change errno. told_at() translates report number i if it is of a descriptor, of an announcement
// or of files. For other reports its handle is of another kind. take_rest() is the second step: it
// translates the reports after the first `done` of `count`, and returns the result of collect().
//     long look(std::span<Wakeup> out);
//     static Wakeup told_at(std::span<Wakeup> out, size_t i);
//     Result<size_t> take_rest(std::span<Wakeup> out, size_t count, size_t done);
template <class B>
KQ_INLINE long look(B& backend, std::span<Wakeup> out) {
    if constexpr (requires { backend.look(out); }) {
        return backend.look(out);
    } else {
        const Result<size_t> got = backend.collect(out);
        return got.ok() ? static_cast<long>(got.value()) : -long{to_int(got.error())};
    }
}
template <class B>
constexpr bool keeps_errno_in_look() {
    return requires(B b, std::span<Wakeup> out) {
        b.look(out);
    };
}
template <class B>
KQ_INLINE Wakeup told_at(std::span<Wakeup> out, size_t i) {
    if constexpr (requires { B::told_at(out, i); })
        return B::told_at(out, i);
    else
        return out[i];
}
template <class B>
KQ_INLINE Result<size_t> take_rest(B& backend, std::span<Wakeup> out, long looked, size_t done) {
    if (looked < 0) return static_cast<Errno>(-looked);
    const auto count = static_cast<size_t>(looked);
    if constexpr (requires { backend.take_rest(out, count, done); })
        return backend.take_rest(out, count, done);
    else
        return count;
}

// Another one: how many bytes can be read from a pipe or a connection that was reported as
// readable, if that is one cheap system call. 0 or less: descriptor::readable() must be called.
//     static int64_t bytes_to_read(int fd);
template <class B>
KQ_INLINE int64_t bytes_to_read(int fd) {
    if constexpr (requires { B::bytes_to_read(fd); })
        return B::bytes_to_read(fd);
    else
        return -1;
}

// The same for the free space of a connection that was reported as writable. 0 also if its sending
// side was shut.
//     static int64_t room_to_write(int fd, const FdFacts& facts);
template <class B>
int64_t room_to_write(int fd, const FdFacts& facts) {
    if constexpr (requires { B::room_to_write(fd, facts); })
        return B::room_to_write(fd, facts);
    else
        return -1;
}

// Another one: as watch(), for the case that the other direction is neither wanted nor armed. Arms
// direction d afresh, or silences it (Mode::none).
//     Errno watch_one(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts);
template <class B>
constexpr bool watches_one() {
    return requires(B b, int fd, FdFacts facts) {
        b.watch_one(fd, Direction::read, Mode::level, Handle(), facts);
    };
}
template <class B>
KQ_INLINE Errno watch_one(B& backend, int fd, Direction d, Mode mode, Handle handle,
                          FdFacts& facts) {
    if constexpr (watches_one<B>())
        return backend.watch_one(fd, d, mode, handle, facts);
    else
        return Errno::unimplemented;  // never called
}

// Three that belong together, for EVFILT_EXCEPT and EVFILT_PROCDESC. Without them, states of
// descriptors are looked at. See capabilities.h.
template <class B>
concept TellsStates = requires(B b, int fd, uint8_t what, Handle h, std::span<Handle> out) {
    { b.watch_state(fd, what, h) } -> std::same_as<Errno>;
    { b.take_states(out) } -> std::same_as<size_t>;
    { b.still_state(fd) } -> std::same_as<Errno>;
};

// Two that belong together: the backend registers descriptors of its own with the kernel queue by
// their numbers, as it does with those of the program. If the program has closed a watched
// descriptor, the next one of the backend may get its number. Then what the core still knows of
// that number must be forgotten before the kernel is told of it again. has_opened(): there are such
// numbers. take_opened(): one of them, each once.
//     bool has_opened() const;
//     int take_opened();
template <class B>
KQ_INLINE bool has_opened(const B& backend) {
    if constexpr (requires { backend.has_opened(); })
        return backend.has_opened();
    else
        return false;
}
template <class B>
int take_opened(B& backend) {
    if constexpr (requires { backend.take_opened(); })
        return backend.take_opened();
    else
        return -1;  // never called
}

// Two that belong together, for a backend with `files`: the most frequent change of a file is
// returned, without a call of tell(). They are called after a wakeup Kind::files, instead of
// take_files(). take_write() answers true if one file has changed, and its only change is
// kModified. Then `handle` is the handle of the file, and the change counts as told. False:
// take_rest_of_files() must be called now. It is take_files(), except that the system was asked
// already.
//     bool take_write(Handle& handle);
//     void take_rest_of_files(void (*tell)(void*, Handle, uint32_t), void* context);
template <class B>
constexpr bool takes_writes() {
    return requires(B b, Handle handle, void (*tell)(void*, Handle, uint32_t), void* context) {
        b.take_write(handle);
        b.take_rest_of_files(tell, context);
    };
}
template <class B>
KQ_INLINE bool take_write(B& backend, Handle& handle) {
    if constexpr (takes_writes<B>())
        return backend.take_write(handle);
    else
        return false;  // never called
}
template <class B>
void take_rest_of_files(B& backend, void (*tell)(void*, Handle, uint32_t), void* context) {
    if constexpr (takes_writes<B>()) backend.take_rest_of_files(tell, context);
}

// Another one: with this constant settle() has something to do only if a time is earlier than in
// its last call, or if a wakeup Kind::timers was collected. The core calls settle() only in these
// cases.
//     static constexpr bool kSettlesTimes = true;
template <class B>
constexpr bool settles_times() {
    if constexpr (requires { B::kSettlesTimes; })
        return B::kSettlesTimes;
    else
        return false;
}

// Two that belong together, for a backend with kSettlesTimes. has_clock(): whether prepare_clock()
// of this clock has nothing to do. wakes_by(): whether settle() has nothing to do for a time on
// that clock, because a wakeup comes then or earlier. Neither makes a system call. A backend with
// these two must not change errno in an exists() that answers true.
//     bool has_clock(Clock clock) const;
//     bool wakes_by(Clock clock, Nanos t) const;
template <class B>
KQ_INLINE bool has_clock(const B& backend, Clock clock) {
    if constexpr (requires { backend.has_clock(clock); })
        return backend.has_clock(clock);
    else
        return false;
}
template <class B>
KQ_INLINE bool wakes_by(const B& backend, Clock clock, Nanos t) {
    if constexpr (requires { backend.wakes_by(clock, t); })
        return backend.wakes_by(clock, t);
    else
        return false;
}

}  // namespace kq

#endif
