// THE PORTING MANUAL: what a platform directory supplies.
//
// A platform answers two questions: who wakes us, and what does this descriptor
// say now? It knows nothing of EV_ flags or knotes. Its directory is on the
// include path; its backend.h defines class kq::Backend, which kqueue.h checks
// against the contract below, and the functions declared here are defined there.
//
// Threads: everything of a Backend is called with its kqueue's mutex held,
// except sleep(), pause(), exists(), descriptor() and abandon_in_child(), which only
// read what never changes after open().
#ifndef KQ_PLATFORM_H
#define KQ_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#include <concepts>
#include <span>

#include "handle.h"
#include "nanos.h"
#include "result.h"

namespace kq {

// ---- interest in a descriptor, and what a kernel says about it ----

enum class Direction : uint8_t { read = 0, write = 1 };
inline constexpr int kDirections = 2;

// How the kernel is to report a direction of a descriptor.
enum class Mode : uint8_t {
    none,   // not at all
    level,  // on every collect() while it is ready
    edge,   // when it becomes ready or more arrives; once at once if it is ready now
    once,   // like edge, then silent until armed again
};

// The whole interest in one descriptor, by Direction.
struct Interest {
    Mode mode[kDirections] = {Mode::none, Mode::none};

    Mode& operator[](Direction d) { return mode[static_cast<int>(d)]; }
    Mode operator[](Direction d) const { return mode[static_cast<int>(d)]; }
};

// Ready bits, as a kernel reports them (its own words, not yet those of BSD).
enum Ready : uint16_t {
    kReadable = 1,
    kWritable = 2,
    kHangup = 4,      // both directions are closed, or never were open
    kReadHangup = 8,  // the peer will send no more
    kFailed = 16,     // an error is pending, or the reader of a pipe is gone
    kChanged = 32,    // a watched file changed
    kClosed = 64,     // the descriptor is not open (answer of descriptor::poll only)
};

// One report of the kernel queue. Without initialisers: arrays of it stand on
// the stack of every call.
struct Wakeup {
    Handle handle;
    uint16_t ready;  // Ready bits, for descriptors
    uint8_t lane;    // for descriptors: which of its registrations spoke (FdFacts::lane)
};

// What kind of open file a descriptor is; decides what its readiness means.
enum class FdKind : uint8_t {
    unknown = 0,
    tcp,
    unix_stream,
    stream,  // other connection-oriented byte streams
    seqpacket,
    datagram,
    pipe,  // and FIFO
    regular,
    directory,
    always,  // devices that cannot be waited for: ready at all times
    eventfd,
    other,   // ttys, timers, and whatever else can be waited for
    kqueue,  // one of ours; set by the core
};

// What core and platform remember about the open file behind a number. All
// zero is right for a number nothing is known of; reset when the number is
// found to name another open file.
struct FdFacts {
    FdKind kind = FdKind::unknown;
    bool readable_end = false;           // opened for reading; valid once kind is known
    bool writable_end = false;           // opened for writing; likewise
    uint8_t registered = 0;              // backend's: which of its lanes have this descriptor
    uint8_t lane[kDirections] = {0, 0};  // backend's: which lane reports a direction
    Mode armed[kDirections] = {Mode::none, Mode::none};  // what the kernel was last told, less
                                                         // what it has disarmed since by reporting
    uint16_t so_error = 0;   // the error of a dead connection, once fetched
    int32_t file_watch = 0;  // backend's: of watch_file()
    uint32_t identity = 0;   // of a regular file or device, to recognise another one

    [[nodiscard]] Mode armed_for(Direction d) const { return armed[static_cast<int>(d)]; }
};

// What a descriptor says about a direction now, in the terms of BSD.
struct Sample {
    bool active = false;    // worth reporting, if no low-water mark is asked for
    bool eof = false;       // EV_EOF: active whatever the mark
    bool unmarked = false;  // `active` holds whatever the mark (a listener, a pending error)
    bool untold = false;    // not active, and no kernel will tell when that changes
    bool closed = false;    // the number is not an open descriptor (any more)
    uint32_t error = 0;     // with eof: the errno of the connection
    int64_t data = 0;       // bytes, connections, free space: see semantics 5.1, 5.2
};

namespace descriptor {

// bad_descriptor if fd is not open.
Errno check_open(int fd);

// Whether fd still is the file that classify() saw: no_entry if it is another
// one, bad_descriptor if it is not open. For regular files and devices.
Errno check_same(int fd, const FdFacts& facts);

// Fills facts.kind, the two ends and the identity. bad_descriptor if fd is not open.
Errno classify(int fd, FdFacts& facts);

// The Ready bits of fd now, without waiting; kClosed if it is not open.
uint16_t poll(int fd, Direction direction);

// What fd says, given Ready bits that are true now. Classifies fd if need be;
// may fetch a pending socket error into facts (kernels give it only once).
// Reads nothing, moves no offset.
Sample readable(int fd, FdFacts& facts, uint16_t ready);
Sample writable(int fd, FdFacts& facts, uint16_t ready);

}  // namespace descriptor

// Now, on a clock, as deadlines are given to Backend::set_deadline.
Nanos now(Clock clock);

// True if this process has never had a second thread (nobody can close a
// descriptor under a blocked call then); false if that is not known.
bool single_threaded();

// How often files are looked at where no kernel tells of changes (ns);
// unimplemented where one does.
Errno set_file_poll_interval(int64_t interval);

// ---- signals, which belong to the whole process ----
//
// Called by the signal hub under its mutex, but for let_go(). What is caught is
// told to signal_hub::arrived(), once for each signal as far as the system can
// count them.
namespace signals {

// Begins to catch a signal, or goes on for one more that watches it. What the program wants to be
// done with it (a handler, nothing) is still done; the default action is not taken. invalid: no
// such signal.
//
// If the program has no handler, the signal is held back (blocked) in the calling
// thread: should the program come to ignore it, before or after, it would be
// gone for good. That lasts until let_go(), at the next collecting kevent() of this thread.
Errno start(int number);
// Puts back what the program wants to be done.
void stop(int number);

// Those held back in this thread. No lock.
uint64_t held();
// The same, which the caller will let_go() without the lock.
uint64_t take_held();
void let_go(uint64_t set);

// Sees to it that signals of this set that were started are caught although the
// program changed what is done with them. True if it had.
bool refresh(uint64_t set);

// Tells of signals that are pending because they are blocked. Those for which the
// program has no handler are taken; the others are left for that handler.
void take_pending();

// In a forked child: as the program left it.
void abandon_in_child();

}  // namespace signals

// ---- the kernel queue ----

// How the public descriptor shows that the core itself has events pending.
enum class Announce : uint8_t {
    ring,  // readable until the next collect(); everybody who waits for it is woken
    hold,  // readable until `release`; need not wake those who know
    release,
};

// clang-format off
template <class B>
concept BackendContract = requires(B b, const B c, int fd, Interest want, uint8_t rearm, Handle h,
                                   FdFacts facts, std::span<Wakeup> out,
                                   void (*tell)(void*, Handle), void* context, Announce a, Clock clock, Nanos t) {
    // Makes the kernel queue and its public descriptor: EMFILE, ENFILE, ENOMEM.
    { b.open() } -> std::same_as<Errno>;

    // The public descriptor: poll(), select() and other queues find it readable
    // while a watched source is ready by level, an edge was not collected yet,
    // a deadline has come, or announce() says so.
    { c.descriptor() } -> std::same_as<int>;

    // Whether the number of the public descriptor still names this queue: the
    // user closes it, nobody tells us.
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

    // Does nothing for `t` ns, whatever is ready. Otherwise as sleep().
    { B::pause(t) } -> std::same_as<Errno>;

    // Shows outsiders, and threads in sleep(), that the core has events. A ring
    // comes back as a wakeup Kind::announcement of index 0, once; the descriptor
    // being held as one of index 1, now and then.
    { b.announce(a) } -> std::same_as<Errno>;

    // Rings the queue with this public descriptor, from any thread and from signal
    // handlers, under any lock. An error, and nothing else, if the number is not
    // (any more) that of a queue of this process.
    { B::post(fd) } -> std::same_as<Errno>;
    // Whether the number names a queue of this process; otherwise as post().
    { B::is_queue(fd) } -> std::same_as<bool>;

    // A wakeup Kind::signals will come, in every queue that asked for it, when a signal that is
    // caught (signals::start) becomes pending and is blocked where it could be received.
    { b.hear_signals() } -> std::same_as<Errno>;

    // Reserves what deadlines on a clock need; after it set_deadline cannot fail.
    { b.prepare_clock(clock) } -> std::same_as<Errno>;
    // Wants a wakeup Handle::Kind::timers at t (kForever: none). May come early.
    { b.set_deadline(clock, t) } -> std::same_as<void>;

    // A wakeup Kind::files will come after a change of the file open as fd.
    // Never opens the file. Fails where the system cannot tell.
    { b.watch_file(fd, h, facts) } -> std::same_as<Errno>;
    // Forgets what watch_file(fd, h, facts) began.
    { b.unwatch_file(h, facts) } -> std::same_as<void>;
    // After a wakeup Kind::files: calls tell(context, handle) for each watched
    // file that changed.
    { b.take_files(tell, context) } -> std::same_as<void>;

    // Closes the public descriptor too: only for a queue that no user has seen.
    { b.close_unpublished() } -> std::same_as<void>;

    // In a forked child: closes this process' copies of all descriptors, if
    // they still are ours, and does nothing else; the queue is the parent's.
    { b.abandon_in_child() } -> std::same_as<void>;
    // Closes what all queues of the process share; when there are none. open()
    // makes it anew.
    { B::close_shared() } -> std::same_as<void>;
};
// clang-format on

}  // namespace kq

#endif
