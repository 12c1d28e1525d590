// SPDX-License-Identifier: BSD-2-Clause
// The process hub distributes what processes do: the kernel tells one listener of all processes of
// the system, and the kqueues of this process have asked for a few.
//
// The hub listens while any kqueue has subscribed. The one source wakes all kqueues with a
// subscription. The thread that comes first takes the news, writes letters to the mailboxes of
// those who asked, and rings the others. filter_proc reads a letter under the mutex of its kqueue.
//
// Lock: a mutex of its own, the innermost. It is taken with a kqueue's mutex held, or by a forking
// thread; no other is taken under it. It also guards Mailbox::letters.
#ifndef KQ_PROCESS_HUB_H
#define KQ_PROCESS_HUB_H

#include "knote_queue.h"

namespace kq {

// News for one kqueue, of a process it has subscribed to.
struct Letter {
    Letter* next = nullptr;
    ProcessNews news;
};

namespace process_hub {

// From now on the kqueue gets letters about the process. With `tracks` it also gets letters about
// its children, their children, and so on: each child is subscribed to at its birth, as if by this
// call, and the letter about its birth says so. A second call changes `tracks`. unsupported: the
// system does not tell of processes; a line on stderr says why, once.
Errno subscribe(KnoteQueue& kq, int32_t pid, bool tracks) KQ_REQUIRES(kq.mutex());
// Letters that have been written still come. Does nothing without a subscription.
void unsubscribe(KnoteQueue& kq, int32_t pid) KQ_REQUIRES(kq.mutex());

// Takes the news there are and distributes them; rings the other kqueues.
void distribute(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

// All letters of the mailbox, oldest first; the caller frees them. `lost`: some news were lost
// since the last call.
Letter* take_letters(Mailbox& mailbox, bool& lost);
// Called after take_letters(): takes the next news for which there was no memory to write a letter.
// They come in the order in which a process does such things, each kind once. A fork does not name
// the child (it is 0), so that child cannot be tracked. False: there are no more.
bool take_kept(Mailbox& mailbox, ProcessNews& news);
// The mailbox is given back: all its subscriptions end.
void forget(Mailbox& mailbox);

// Called around fork(), so that the child finds complete data.
void lock_before_fork();
void unlock_in_parent();
// `clean`: the child has no kqueue, no subscription, no listener.
void after_fork_in_child(bool clean);
// The same in a child made without fork handlers, where any thread may hold the lock.
void begin_anew_in_copy();

}  // namespace process_hub
}  // namespace kq

#endif
