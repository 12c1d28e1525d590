// What processes do, distributed: the kernel tells one listener of all processes
// of the system, and the kqueues of this process have asked for a few.
//
// It listens while somebody has subscribed. All kqueues with a subscription are
// woken by the one source; whoever comes first takes the news, writes letters to
// the mailboxes of those who asked, and rings the others. A letter is read under
// the mutex of its kqueue, by filter_proc.
//
// Lock: a mutex of its own, the innermost: taken with a kqueue's mutex held, or by
// a forking thread; no other is taken under it. It guards Mailbox::letters, too.
#ifndef KQ_PROCESS_HUB_H
#define KQ_PROCESS_HUB_H

#include "kqueue.h"

namespace kq {

// News for one kqueue, of a process it has subscribed to.
struct Letter {
    Letter* next = nullptr;
    ProcessNews news;
};

namespace process_hub {

// Letters will come of what the process does from now on; with `tracks` also of
// its children, theirs, and so on: each is subscribed to, as with this call, when
// it is born, and the letter of its birth says so. Again: changes `tracks`.
// unsupported: the system does not tell; says why, once.
Errno subscribe(Kqueue& kq, int32_t pid, bool tracks) KQ_REQUIRES(kq.mutex());
// Letters that have been written still come. Nothing if it was not subscribed to.
void unsubscribe(Kqueue& kq, int32_t pid) KQ_REQUIRES(kq.mutex());

// Takes the news there are and distributes them; the other kqueues are rung.
void distribute(Kqueue& kq) KQ_REQUIRES(kq.mutex());

// All letters of the mailbox, oldest first, the caller's to free. `lost`: the system told not
// all since the last time.
Letter* take_letters(Mailbox& mailbox, bool& lost);
// After the letters: what there was no memory for to write one, in the order of what a process
// does, each kind once. Of forks the child is not known (0): it cannot be tracked. False: no more.
bool take_kept(Mailbox& mailbox, ProcessNews& news);
// The mailbox is given back: nothing is subscribed to any more.
void forget(Mailbox& mailbox);

// Around fork(): the child finds it whole.
void lock_before_fork();
void unlock_in_parent();
// `clean`: the child has no kqueue, no subscription, no listener.
void after_fork_in_child(bool clean);
// As that, in a child made without fork handlers: the lock may be anybody's.
void begin_anew_in_copy();

}  // namespace process_hub
}  // namespace kq

#endif
