// SPDX-License-Identifier: BSD-2-Clause
// THE PORTING MANUAL: what a platform directory supplies.
//
// A platform answers two questions: who wakes us, and what does this descriptor
// say now? It knows nothing of EV_ flags or knotes. Its directory is on the
// include path and has two headers that the core includes: backend.h, with class
// kq::Backend, and threading.h. The functions that are declared here are defined there, too.
//
// THE SMALLEST BACKEND has everything in the first part of this file, "needed": the members of
// Backend that QueueContract lists (a dozen functions and three constants), six functions of
// namespace descriptor, now(), coarse_tick(), set_file_poll_interval(), say() (check.h), and
// threading.h. With these EVFILT_READ, WRITE, TIMER and USER work, and with them most of the tests.
//
// CAPABILITIES are the second part, capabilities.h. Each is a group of functions that a platform
// has or has not: Backend::kHas says so to the compiler, and KQUEUE_BACKEND_HAS in
// cmake/backend_<name>.cmake chooses the files of the core. Without a capability its files are not
// compiled, and src/without_<capability>.cc says what happens instead. If a capability is declared
// and a member of it is missing, the compiler reports one error that names the capability.
//
//   renewal     the kernel queue can be replaced behind its descriptor: it can be haunted (Linux)
//   duplicates  dup() of the public descriptor names the same queue
//   fork        processes fork
//   files       the system tells of changes of files: EVFILT_VNODE, sleeping at the end of a file
//   processes   EVFILT_PROC
//   signals     EVFILT_SIGNAL
//   mounts      EVFILT_FS
//   urgent      EVFILT_EXCEPT
//   unsent      EVFILT_EMPTY
//   procdesc    EVFILT_PROCDESC
//
// test/sim has two platforms of this kind: one with three capabilities, and one with none.
//
// Threads: everything of a Backend is called with its kqueue's mutex held,
// except sleep(), pause(), exists(), descriptor() and abandon_in_child(), which only
// read what never changes after open().
#ifndef KQ_PLATFORM_H
#define KQ_PLATFORM_H

#include <concepts>
#include <span>

#include "optional_members.h"
#include "platform_types.h"
#include "threading.h"

namespace kq {

// ================================ NEEDED ================================

// ---- the kernel queue ----

// What a platform has beside the queue itself.
struct Capabilities {
    bool renewal = false;
    bool duplicates = false;
    bool fork = false;
    bool files = false;
    bool processes = false;
    bool signals = false;
    bool mounts = false;
    bool urgent = false;
    bool unsent = false;
    bool procdesc = false;
};

// clang-format off
template <class B>
concept QueueContract = requires(B b, const B c, int fd, Interest want, uint8_t rearm, Handle h,
                                 FdFacts facts, std::span<Wakeup> out, Announce a, Clock clock, Nanos t,
                                 uint32_t tag) {
    { B::kHas } -> std::same_as<const Capabilities&>;
    // Whether threads in sleep() are woken with bad_descriptor when the public descriptor is closed.
    { B::kHearsClose } -> std::same_as<const bool&>;
    // Whether a call may sleep before it looks. That needs two things: sleep() returns at once
    // whenever collect() would report something, and a collect() that reports nothing changes
    // nothing (it arms nothing again, and finds nothing that no kernel reports).
    { B::kMaySleepFirst } -> std::same_as<const bool&>;
    // The flags that kqueue1() accepts. They change nothing: close-on-exec is always set.
    { B::kKqueue1Flags } -> std::same_as<const int&>;

    // Makes the kernel queue and its public descriptor: EMFILE, ENFILE, ENOMEM. The tag, not
    // 0, tells it from the other queues of this process; 28 bits of it count.
    { b.open(tag) } -> std::same_as<Errno>;
    // Closes the public descriptor too: only for a queue that no user has seen.
    { b.close_unpublished() } -> std::same_as<void>;

    // The public descriptor: poll(), select() and other queues find it readable
    // while a watched source is ready by level, an edge was not collected yet,
    // a deadline has come, or announce() says so.
    { c.descriptor() } -> std::same_as<int>;

    // Whether the number of the public descriptor still names this queue: the user closes it, or
    // gives it to a duplicate of another one, and we are not notified of that.
    { c.exists() } -> std::same_as<bool>;

    // Sets the whole interest in fd; `h` comes back in its wakeups. `rearm` is a
    // set of directions (1 << Direction) to be armed afresh even if unchanged:
    // ready ones are then reported again. Keeps facts.armed, .lane, .registered.
    // Heals itself where it can. no_entry: fd is not the open file it was, and
    // nothing of it is registered now; the caller resets the facts and may call
    // again. bad_descriptor: not open. not_permitted: cannot be waited for.
    // invalid: the queue itself. too_many_links: nested too deep, or a cycle.
    { b.watch(fd, want, rearm, h, facts) } -> std::same_as<Errno>;

    // Whether fd still is the open file that is registered (facts.registered is
    // not 0). no_entry: it is another one, and nothing of it is registered now;
    // bad_descriptor: not open. Arms and reports nothing.
    { b.still(fd, facts) } -> std::same_as<Errno>;

    // Reports what is ready, without waiting: at most out.size() wakeups, as
    // many as the kernel had to tell. May report spuriously, never loses: what
    // does not fit is reported by the next call.
    { b.collect(out) } -> std::same_as<Result<size_t>>;

    // Sleeps until collect() has something to report, or for `t` ns (kForever).
    // Called with no lock held, by many threads at once; consumes nothing, so a
    // thread may be cancelled here. ok: go and collect(). timed_out: the time is
    // over. interrupted: a signal handler ran. bad_descriptor: the public
    // descriptor is closed.
    { c.sleep(t) } -> std::same_as<Errno>;

    // Sleeps for `t` ns, even if something is ready. Otherwise as sleep().
    { B::pause(t) } -> std::same_as<Errno>;

    // Shows outsiders, and threads in sleep(), that the core has events. A ring comes back once, as
    // a wakeup Kind::announcement of index 0. While the descriptor is held, wakeups
    // Kind::announcement of index 1 come now and then.
    { b.announce(a) } -> std::same_as<Errno>;

    // Rings the queue with this public descriptor, from any thread and from signal
    // handlers, under any lock. An error, and nothing else, if the number is not
    // (any more) that of a queue of this process.
    { B::post(fd, tag) } -> std::same_as<Errno>;

    // Reserves what deadlines on a clock need; after it a deadline on that clock cannot fail.
    { b.prepare_clock(clock) } -> std::same_as<Errno>;
    // The last call of the core before it unlocks the mutex. It wants wakeups of
    // Handle::Kind::timers at these times, one for each clock (kForever: none); they may come
    // early. Readiness that collect() took out of the kernel may still be wanted by level without
    // being armed there. From this call on it must wake sleepers and outsiders like all other
    // readiness.
    { b.settle(t, t) } -> std::same_as<void>;
};
// clang-format on

// Members that a backend may have beside these: optional_members.h.

// ---- what a descriptor says ----

namespace descriptor {

// bad_descriptor if fd is not open.
Errno check_open(int fd);

// Whether fd still is the file that classify() saw: no_entry if it is another one, bad_descriptor
// if it is not open. For regular files and devices. Other errors, of this function and those below:
// the answer cannot be given now.
Errno check_same(int fd, const FdFacts& facts);

// Fills facts.kind, the two ends and the identity. bad_descriptor if fd is not open.
Errno classify(int fd, FdFacts& facts);

// The Ready bits of fd now, without waiting; kClosed if it is not open.
uint16_t poll(int fd, Direction direction);

// What fd says, given Ready bits that are true now. Classifies fd if need be. Reads
// nothing, moves no offset, and takes nothing that the program would be told: no pending
// error of a socket, which kernels give only once.
Sample readable(int fd, FdFacts& facts, uint16_t ready);
Sample writable(int fd, FdFacts& facts, uint16_t ready);

}  // namespace descriptor

// The present time on a clock that the platform has, in the form that Backend::settle gets.
Nanos now(Clock clock);

// The calling thread, as debuggers name it, if the system has such a number.
uint64_t thread_number();

// "SIGHUP"; null: no signal has this number, or it has no name.
const char* signal_name(uintptr_t number);

// A number that changes some 60 times a second, and costs nothing.
uint32_t coarse_tick();

// How often files are looked at where no kernel tells of changes (ns);
// unimplemented where one does.
Errno set_file_poll_interval(int64_t wanted);

// ---- threads: threading.h of the platform directory ----
//
// class RawMutex: a constexpr constructor and a trivial destructor; bool lock(), unlock(),
// try_lock(). Not recursive. lock() and unlock() answer false only for a broken invariant.
//
// bool single_threaded(): true if this process has never had a second thread, so that no thread can
// want a lock, or close a descriptor under a blocked call; false if that is not known. Cheap.
//
// threading::yield(): lets other threads run.
// threading::self(): a number that no other running thread has. 0 on a system that does not fork.
// threading::on_fork(prepare, parent, child): these are called around each fork() from now on.
//   False: no memory. True, and nothing else, on a system that does not fork.
// threading::hold_signals(), release_signals(mask): between them no signal handler runs in this
//   thread. The mask is what hold_signals() returned. Only with the capability `fork`.
// threading::enter_shared(), leave_shared(): this thread is about to lock a mutex of the process;
//   it has unlocked it. Only with the capability `fork`: threading::is_in_shared(): whether it is
//   between the two; forget_shared(): it is not any more, because it runs in a copy of the process.
// threading::cancellable(body, cleanup, arg): body(). If the thread is cancelled while body is in
//   a blocking call, cleanup(arg) is called. The only cancellation point of the library.

}  // namespace kq

#include "capabilities.h"  // IWYU pragma: export

#endif
