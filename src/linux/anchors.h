// SPDX-License-Identifier: BSD-2-Clause
// The anchors: they make an epoll set readable by hand, and show that it is ours.
//
// There are two eventfds for the whole process. They are always readable and never read, and are
// registered silently in every epoll set of ours. EPOLL_CTL_MOD to EPOLLIN makes that one set
// readable and wakes its sleepers; nothing is written. There are two because a MOD wakes no thread
// while the item is still on the set's ready list. There it stays for a while after it was held.
// The first anchor rings, by edge, and is off that list when it was collected. The second holds, by
// level.
//
// The tag is in the data of the first anchor, which only /proc shows. For a question that must cost
// nothing the open file carries a mark that follows from the tag. The mark is the signal of
// F_SETSIG: it means nothing to an epoll set, and all duplicates of a descriptor share it.
//
// Used by Backend. ring(), is_set_of() and has_joined(): any thread; ring(): signal handlers, too.
// Each is a system call or two on a number that may name another file now, which does no harm. The
// others: the registry's mutex.
#ifndef KQ_LINUX_ANCHORS_H
#define KQ_LINUX_ANCHORS_H

#include <stdint.h>

#include "result.h"

namespace kq::anchors {

// Whether the anchors were made, and not closed by us since.
bool made();
// Makes the anchors that are missing: all, or those that the program has closed, as close_range()
// does (then the earlier kqueues are closed, too). EMFILE, ENFILE, ENOMEM.
Errno make();
void close();

// Registers what an epoll set of ours needs; once. The tag says which set it is.
Errno join(int epoll, uint32_t tag);
// The set has this tag from now on.
Errno rename(int epoll, uint32_t tag);
// The tag of a set that has joined, under any number. 0: it has not joined, or there is no /proc.
// The more is registered in the set, the more it reads there. EMFILE, ENFILE, ENOMEM.
Result<uint32_t> tag_of(int epoll);
// Whether the number names an epoll set that has joined.
bool has_joined(int epoll);
// Whether the number names the set of this tag, as far as one call can tell: kMarks sets that are
// made one after another all have different marks. tag_of() tells more, and costs more. If the
// answer is true, errno is not changed.
bool is_set_of(int epoll, uint32_t tag);

// Makes the set readable until it is collected, and wakes its sleepers. The wakeup is
// Kind::announcement, 0. An error if the number is no set of ours.
Errno ring(int epoll, uint32_t tag);
// Makes the set readable until it is called with `on` false. Kind::announcement, 1.
Errno hold(int epoll, uint32_t tag, bool on);

}  // namespace kq::anchors

#endif
