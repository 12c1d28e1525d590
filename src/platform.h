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

#include <concepts>
#include <span>

#include "platform_types.h"
#include "single_threaded.h"

namespace kq {

// ---- what a descriptor says ----

namespace descriptor {

// bad_descriptor if fd is not open.
Errno check_open(int fd);

// Whether fd still is the file that classify() saw: no_entry if it is another
// one, bad_descriptor if it is not open. For regular files and devices. Other errors: cannot be
// told now; likewise of what follows.
Errno check_same(int fd, const FdFacts& facts);

// Fills facts.kind, the two ends and the identity. bad_descriptor if fd is not open.
Errno classify(int fd, FdFacts& facts);

// What can be seen of the file open as fd, without its name. Classifies it if need
// be; else answers as check_same().
Errno file_state(int fd, FdFacts& facts, FileState& state);

// A number that changes when the file open as fd is renamed; 0 if that cannot be told.
uint64_t name(int fd);

// The Ready bits of fd now, without waiting; kClosed if it is not open.
uint16_t poll(int fd, Direction direction);

// What fd says, given Ready bits that are true now. Classifies fd if need be;
// may fetch a pending socket error into facts (kernels give it only once).
// Reads nothing, moves no offset.
Sample readable(int fd, FdFacts& facts, uint16_t ready);
Sample writable(int fd, FdFacts& facts, uint16_t ready);

}  // namespace descriptor

// ---- processes ----

namespace processes {

// What has become of a process since watch_process(). Never reaps it. `status`
// is set, as of wait(), for Life::exited.
Life ask(const ProcessFacts& facts, int& status);

// Begins to hear of all processes of the system; one listener for all. unsupported, and `why`
// says in words why that cannot be; other errors: not for want of memory or descriptors.
// Under the process hub's mutex, as the rest here.
Errno listen(const char*& why);
void stop_listening();
// In a forked child, whose copy it is: likewise, but the parent listens on.
void abandon_in_child();
// The next news, without waiting, in order. no_memory: some were lost here.
Result<size_t> hear(std::span<ProcessNews> out);

}  // namespace processes

// Now, on a clock, as deadlines are given to Backend::set_deadline.
Nanos now(Clock clock);

// A number that changes some 60 times a second, and costs nothing.
uint32_t coarse_tick();

// Marks this process, so that is_copy_of_process() is false in it, and true in a
// child that was made without fork handlers, which must not touch what it shares
// with its parent. May fail, and then the latter is always false; if it answers false, too, it may
// be tried again. One thread at a time.
bool mark_process();
// Any thread; a load.
bool is_copy_of_process();

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

// Whether this thread may hold some back; a hint, without lock.
bool may_hold();
// Those that it holds back, or blocks since the thread that made it did; the caller
// will let_go() of them, without the lock.
uint64_t take_held();
// Only the latter, for a thread that forks.
uint64_t take_inherited();
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

// clang-format off
template <class B>
concept BackendContract = requires(B b, const B c, int fd, Interest want, uint8_t rearm, Handle h,
                                   FdFacts facts, ProcessFacts& process, int32_t pid, bool on,
                                   std::span<Wakeup> out, uint32_t changes,
                                   void (*tell)(void*, Handle, uint32_t), void* context, Announce a, Clock clock, Nanos t,
                                   uint32_t tag) {
    // Makes the kernel queue and its public descriptor: EMFILE, ENFILE, ENOMEM. The tag, not
    // 0, tells it from the other queues of this process; 28 bits of it count.
    { b.open(tag) } -> std::same_as<Errno>;
    // Takes over one that lost its Backend, by a number that the user has duplicated.
    { b.adopt(fd, tag) } -> std::same_as<Errno>;
    // The public descriptor is another number of the same queue from now on.
    { b.move_to(fd) } -> std::same_as<void>;

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

    // Whether watch() of fd, as far as that is registered, answers no_entry if the public
    // descriptor names another queue by now (and fd is not registered there, too). Asks nobody.
    { c.asks_public(facts) } -> std::same_as<bool>;

    // Whether fd still is the open file that is registered (facts.registered is
    // not 0). no_entry: it is another one, and nothing of it is registered now;
    // bad_descriptor: not open. Arms and reports nothing.
    { b.still(fd, facts) } -> std::same_as<Errno>;

    // Replaces the kernel queue by a new one behind the same public descriptor. The new one
    // has what belongs to the backend itself, and is held; whoever sleeps is woken. The old one still
    // reports, by collect_old(), until end_renewal(). On failure all is as it was; exists: the
    // old one has a duplicate, or is watched by others than kqueues, who would keep it.
    { b.begin_renewal() } -> std::same_as<Errno>;
    // Registers in the new queue what is armed in the old one; facts are kept. Answers as
    // still(); after other errors the renewal has to be cancelled.
    { b.carry_over(fd, h, facts) } -> std::same_as<Errno>;
    { b.collect_old(out) } -> std::same_as<Result<size_t>>;
    { b.end_renewal() } -> std::same_as<void>;
    // Or, before anything was collected: back to the old one, where all is registered as it
    // was. To be followed by carry_back() for each fd, which finds out what is registered,
    // and answers as still() for those that are armed.
    { b.cancel_renewal() } -> std::same_as<void>;
    { b.carry_back(fd, facts) } -> std::same_as<Errno>;

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
    { B::post(fd, tag) } -> std::same_as<Errno>;
    // Whether the number names a queue of this process; otherwise as post().
    { B::is_queue(fd) } -> std::same_as<bool>;

    // Whether fd names the queue that `other` names, two different numbers.
    { B::is_duplicate(fd, fd) } -> std::same_as<bool>;
    // The tag of the queue of this process that fd names; 0: none, or nobody can tell. An error:
    // it cannot be told now, for want of memory or descriptors.
    { B::tag_of(fd) } -> std::same_as<Result<uint32_t>>;
    // Makes a number that names an earlier queue of the same tag name the present one.
    { B::follow(fd, fd) } -> std::same_as<void>;

    // A wakeup Kind::signals will come, in every queue that asked for it, when a signal that is
    // caught (signals::start) becomes pending and is blocked where it could be received.
    { b.hear_signals() } -> std::same_as<Errno>;

    // Reserves what deadlines on a clock need; after it set_deadline cannot fail.
    { b.prepare_clock(clock) } -> std::same_as<Errno>;
    // Wants a wakeup Handle::Kind::timers at t (kForever: none). May come early.
    { b.set_deadline(clock, t) } -> std::same_as<void>;

    // Sets which changes (FileChange bits) of the file open as fd are wanted; 0: none
    // any more, which never fails. A wakeup Kind::files comes after each. Never opens
    // the file. Keeps facts.file_watch and such. For a directory, facts.kind must say
    // so; to be called again after kMoved. With facts.file_untold set, look now and
    // then as well; with facts.file_shared, take_files() first. bad_descriptor: not open. no_memory, too_many_open: limits of the
    // system. not_supported: it cannot tell.
    { b.watch_file(fd, changes, h, facts) } -> std::same_as<Errno>;
    // After a wakeup Kind::files, or to know what there is: calls tell(context, handle,
    // changes) for each watched file that changed, once or several times. May tell more
    // than was wanted. tell() may call watch_file().
    { b.take_files(tell, context) } -> std::same_as<void>;

    // A wakeup `h` (Kind::process) will come, once, when the process has exited, at
    // once if it has already. no_process: there is none. unimplemented: nobody
    // will tell, but processes::ask() can be asked.
    { b.watch_process(pid, h, process) } -> std::same_as<Errno>;
    // Forgets what watch_process() began, in whatever state.
    { b.unwatch_process(process) } -> std::same_as<void>;
    // Wakeups Kind::processes come, by level, while processes::hear() has news. Only
    // between processes::listen() and stop_listening().
    { b.hear_processes(on) } -> std::same_as<Errno>;

    // Closes the public descriptor too: only for a queue that no user has seen.
    { b.close_unpublished() } -> std::same_as<void>;

    // In a forked child: closes this process' copies of all descriptors, if
    // they still are ours, and does nothing else; the queue is the parent's.
    { b.abandon_in_child() } -> std::same_as<void>;
    // There, too: closes a duplicate of a public descriptor, if it still is one.
    { B::close_in_child(fd) } -> std::same_as<void>;
    // Closes what all queues of the process share; when there are none. open()
    // makes it anew.
    { B::close_shared() } -> std::same_as<void>;
};
// clang-format on

}  // namespace kq

#endif
