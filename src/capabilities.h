// SPDX-License-Identifier: BSD-2-Clause
// The second part of the porting manual: the capabilities that a platform may have. See platform.h,
// which includes this file and says what a capability is.
#ifndef KQ_CAPABILITIES_H
#define KQ_CAPABILITIES_H

#include <concepts>
#include <span>

#include "platform_types.h"

namespace kq {

// ---- renewal ----

// clang-format off
template <class B>
concept RenewalContract = requires(B b, int fd, Handle h, FdFacts facts, std::span<Wakeup> out) {
    // Replaces the kernel queue by a new one behind the same public descriptor. The new one has
    // what belongs to the backend itself, and is held; sleeping threads are woken. The old one
    // still reports, by collect_old(), until end_renewal(). On failure all is as it was; exists:
    // the old one has a duplicate, or is watched by others than kqueues: these would keep the old
    // one.
    { b.begin_renewal() } -> std::same_as<Errno>;
    // Registers in the new queue what is armed in the old one; facts are kept. Answers as
    // still(); after other errors the renewal has to be cancelled.
    { b.carry_over(fd, h, facts) } -> std::same_as<Errno>;
    { b.collect_old(out) } -> std::same_as<Result<size_t>>;
    { b.end_renewal() } -> std::same_as<void>;
    // Instead of the rest, before anything was collected: goes back to the old queue, where
    // everything is registered as it was. The core then calls carry_back() for each fd, which finds
    // out what is registered, and answers as still() for those that are armed.
    { b.cancel_renewal() } -> std::same_as<void>;
    { b.carry_back(fd, facts) } -> std::same_as<Errno>;
};

// ---- duplicates ----

template <class B>
concept DuplicatesContract = requires(B b, const B c, int fd, uint32_t tag,
                                      void (*visit)(void*, int), void* context,
                                      std::span<const Wakeup> wakeups) {
    // As open(), for a kernel queue whose Backend was destroyed: fd is a duplicate that the user
    // made. Only called if kAdopts is true.
    { b.adopt(fd, tag) } -> std::same_as<Errno>;
    { B::kAdopts } -> std::same_as<const bool&>;
    // The public descriptor is another number of the same queue from now on, or none (-1).
    { b.move_to(fd) } -> std::same_as<void>;
    // Whether it holds descriptors beside the public one.
    { c.holds_descriptors() } -> std::same_as<bool>;

    // Whether fd names the queue that `other` names, two different numbers.
    { B::is_duplicate(fd, fd) } -> std::same_as<bool>;
    // Whether the number names a queue of this process. Otherwise as post().
    { B::is_queue(fd) } -> std::same_as<bool>;
    // The tag of the queue of this process that fd names; 0: none, or it is not known. An error: it
    // cannot be told now, because memory or descriptors are short.
    { B::tag_of(fd) } -> std::same_as<Result<uint32_t>>;
    // Calls visit(context, number) for all open descriptors of this process, and perhaps for other
    // numbers, if tag_of() can tell anything. Returns how many; further costs count as some more.
    // An error: not possible now.
    { B::visit_open(visit, context) } -> std::same_as<Result<int>>;
    // Another queue has collected these wakeups, which belong to this queue: the number of its
    // public descriptor names this queue now. So that the core notices this, a handle that the
    // backend itself makes has the tag as its generation.
    { b.note_collected(wakeups) } -> std::same_as<void>;
    // Makes a number that names an earlier queue of the same tag name the present one.
    { B::follow(fd, fd) } -> std::same_as<void>;
    // In a forked child: closes a duplicate of a public descriptor, if it still is one.
    { B::close_in_child(fd) } -> std::same_as<void>;
};

// ---- fork ----

template <class B>
concept ForkContract = requires(B b, bool in_child, int number, uint32_t tag, int32_t pid) {
    // In a forked child: closes this process' copies of all descriptors, if
    // they still are ours, and does nothing else; the queue is the parent's.
    { b.abandon_in_child() } -> std::same_as<void>;
    // Closes what all queues of the process share; when there are none. open()
    // makes it anew.
    { B::close_shared() } -> std::same_as<void>;
    // Called around fork(), with every queue locked, so that the child finds the data that several
    // queues share complete, too. `true`: in the child.
    { B::lock_before_fork() } -> std::same_as<void>;
    { B::unlock_after_fork(in_child) } -> std::same_as<void>;

    // KQUEUE_CPONFORK, in a forked child, which has one thread. As abandon_in_child(), but the
    // number of the public descriptor stays open, so that no other file gets it.
    { b.abandon_all_but_number() } -> std::same_as<void>;
    // Closes such a number.
    { B::close_number(number) } -> std::same_as<void>;
    // Or, of a new Backend: as open(). The public descriptor is `number`, and what that named
    // before is closed. On failure the number is closed, too, and nothing else is open.
    { b.open_at(number, tag) } -> std::same_as<Errno>;
    // Whether the child cannot watch this process, or must not: it is another child of its parent.
    { B::is_out_of_reach(pid) } -> std::same_as<bool>;
};
// clang-format on

// Marks this process, so that is_copy_of_process() is false in it, and true in a
// child that was made without fork handlers, which must not touch what it shares
// with its parent. False: it may be tried again. Until it succeeds is_copy_of_process() is always
// false. One thread at a time.
bool mark_process();
// Any thread; a load.
bool is_copy_of_process();

// ---- files ----

// clang-format off
template <class B>
concept FilesContract = requires(B b, int fd, uint32_t changes, Handle h, FdFacts facts,
                                 void (*tell)(void*, Handle, uint32_t), void* context) {
    // Sets which changes (FileChange bits) of the file open as fd are wanted; 0: none any more,
    // which never fails. A wakeup Kind::files comes after each. Never opens the file. Keeps
    // facts.file_watch and such. For a directory, facts.kind must say so. The core calls this again
    // after kMoved and kGone. If it sets facts.file_untold, the core also looks at the file now and
    // then; facts.file_shared: the core calls take_files() first; facts.file_late: the core also
    // looks before it asks for other changes. bad_descriptor: not open. no_memory, too_many_open:
    // limits of the system. not_supported: it cannot tell.
    { b.watch_file(fd, changes, h, facts) } -> std::same_as<Errno>;
    // Called after a wakeup Kind::files, or at any other time: calls tell(context, handle, changes)
    // for each watched file that changed, once or several times. May tell more than was wanted.
    // tell() may call watch_file().
    { b.take_files(tell, context) } -> std::same_as<void>;
    // Called after a ring: true, once, if take_files() has changes for which no wakeup will come,
    // because another queue of the process was woken instead.
    { b.files_told() } -> std::same_as<bool>;
};
// clang-format on

namespace descriptor {

// What can be seen of the file open as fd, without its name. Classifies the descriptor if that was
// not done; else answers as check_same().
Errno file_state(int fd, FdFacts& facts, FileState& state);

// A number that changes when the file open as fd is renamed; 0 if that cannot be told.
uint64_t name(int fd);

}  // namespace descriptor

// ---- processes ----

// clang-format off
template <class B>
concept ProcessesContract = requires(B b, int32_t pid, Handle h, ProcessFacts& process, bool on) {
    // A wakeup `h` (Kind::process) will come, once, when the process has exited, at once if it has
    // already. no_process: there is none. unimplemented: no wakeup will come, but processes::ask()
    // can be asked.
    { b.watch_process(pid, h, process) } -> std::same_as<Errno>;
    // Ends what watch_process() began, in any state.
    { b.unwatch_process(process) } -> std::same_as<void>;
    // Wakeups Kind::processes come, by level, while processes::hear() has news. Only
    // between processes::listen() and stop_listening().
    { b.hear_processes(on) } -> std::same_as<Errno>;
};
// clang-format on

namespace processes {

// What has become of a process since watch_process(). Never reaps it. `status`
// is set, as of wait(), for Life::exited.
Life ask(const ProcessFacts& facts, int& status);

// Begins to hear of all processes of the system; there is one listener for all kqueues.
// unsupported: not possible, and `why` says in words why. Other errors: memory or descriptors are
// short. Under the process hub's mutex, as the rest here.
Errno listen(const char*& why);
void stop_listening();
// In a forked child: closes the child's copy of the listener. The parent goes on listening.
void abandon_in_child();
// The next news, without waiting, in order. no_memory: some were lost here.
Result<size_t> hear(std::span<ProcessNews> out);

}  // namespace processes

// ---- signals, which belong to the whole process ----
//
// Called by the signal hub under its mutex, except for are_left(). Signals that are caught are
// told to signal_hub::arrived(), once for each signal as far as the system can
// count them. No thread's mask is changed.
// clang-format off
template <class B>
concept SignalsContract = requires(B b, int fd) {
    // A wakeup Kind::signals will come, in every queue that asked for it, when a signal that is
    // caught (signals::start) becomes pending and is blocked where it could be received.
    { b.hear_signals() } -> std::same_as<Errno>;
    // Whether the number names a queue of this process. Otherwise as post().
    { B::is_queue(fd) } -> std::same_as<bool>;
};
// clang-format on

namespace signals {

// Begins to catch a signal, or goes on for one more kqueue that watches it. The program's own
// disposition still has its effect (its handler runs, or the signal is ignored), but the default
// action is not taken. invalid: no such signal.
Errno start(int number);
// Puts back what the program wants to be done.
void stop(int number);

// Sees to it that signals of this set that were started are caught although the
// program changed what is done with them. True if it had.
bool refresh(uint64_t set);

// Tells of signals that are pending because they are blocked, each once, and leaves them
// pending. True if there were any.
bool look_at_pending();

// Whether some that were told are left. Any thread, no lock; a hint.
bool are_left();
// Takes these for as long as a thread sleeps, so that the next of their number is heard. True:
// put_back() follows. `wait`, how long it will sleep, may be shortened.
bool withdraw(Nanos& wait);
void put_back();

// In a forked child: as the program left it.
void abandon_in_child();

}  // namespace signals

// ---- mounts ----

// clang-format off
template <class B>
concept MountsContract = requires(B b) {
    // From now on a wakeup Kind::mounts comes when a file system is mounted or unmounted, and
    // take_mounts() tells of it; does nothing if that is so already. unsupported: the system does
    // not tell this process. Other errors: memory or descriptors are short.
    { b.watch_mounts() } -> std::same_as<Errno>;
    { b.unwatch_mounts() } -> std::same_as<void>;
    // MountChange bits: what has happened since the last call. Also without a wakeup, which poll()
    // on the public descriptor may have taken; therefore cheap.
    { b.take_mounts() } -> std::same_as<uint32_t>;
};
// clang-format on

// ---- urgent, unsent, procdesc: states of a descriptor ----
//
// The questions below can be asked at any time. A backend may also report these states. States that
// it does not report are looked at now and then (fd_state.cc):
//
//     Errno watch_state(int fd, uint8_t what, Handle h);
//         Sets which StateChange bits of fd are wanted; 0: none any more. Told by edge, and at once
//         if it is so already. bad_descriptor, not_permitted: as watch(). Wakeups Kind::states come
//         while take_states() has something.
//     size_t take_states(std::span<Handle> out);
//         The handles of descriptors of which there is something to tell, without saying what.
//     Errno still_state(int fd);
//         Whether fd is the open file that watch_state() was called for, with bits that are still
//         wanted: no_entry if it is another one. bad_descriptor.

namespace descriptor {

// urgent: `active` while there are urgent data that were not read, or the next byte to be read is
// at their place; `eof` when the peer will send no more. `closed`: not open.
Sample urgent(int fd, const FdFacts& facts);

// unsent: how many bytes that were written to a socket or a pipe have not left: were not
// acknowledged by the peer, or not read. 0 of a listener. bad_descriptor: fd is not open;
// unsupported: this cannot be asked of it.
Result<int64_t> unsent(int fd, const FdFacts& facts);

}  // namespace descriptor

namespace processes {

// procdesc: ok if fd names a process; invalid if it is anything else. Other errors: that cannot be
// told now.
Errno check_descriptor(int fd);

// What has become of the process that fd names. Never reaps it. `status` is set, as of wait(), for
// Life::exited.
Life ask_descriptor(int fd, int& status);

}  // namespace processes

}  // namespace kq

#endif
