// The anchors: what makes an epoll set readable by hand, and known as ours.
//
// Two eventfds for the whole process that are always readable and never read,
// registered silently in every epoll set of ours. EPOLL_CTL_MOD to EPOLLIN makes
// that one set readable and wakes its sleepers; nothing is written. Two, because
// a MOD wakes nobody if the item still is on the set's ready list, as it is for a
// while after it was held: the first rings, by edge, and is off that list when it
// was collected; the second holds, by level.
//
// Used by Backend. ring() and has_joined() may be called by any thread, ring()
// by signal handlers, too: each is a system call or two on numbers that cannot
// do harm if they are somebody else's by now. The others: the registry's mutex.
#ifndef KQ_LINUX_ANCHORS_H
#define KQ_LINUX_ANCHORS_H

#include <stdint.h>

#include "result.h"

namespace kq::anchors {

// Whether they were made, and not closed by us since.
bool made();
// Makes what is missing: all, or what somebody closed behind our back, as
// close_range() does (the kqueues of before are closed then, too). EMFILE, ENFILE, ENOMEM.
Errno make();
void close();

// Registers what an epoll set of ours needs; once. The tag says which one it is.
Errno join(int epoll, uint32_t tag);
// The tag of a set that has joined, whatever its number; 0: it has not, or there is no /proc, which
// is read, as much as there is registered in the set. EMFILE, ENFILE, ENOMEM.
Result<uint32_t> tag_of(int epoll);
// Whether the number names an epoll set that has joined.
bool has_joined(int epoll);

// Makes the set readable until it is collected, wakes its sleepers. The wakeup
// is Kind::announcement, 0. An error if the number is no set of ours.
Errno ring(int epoll, uint32_t tag);
// Makes the set readable until it is told otherwise. Kind::announcement, 1.
Errno hold(int epoll, uint32_t tag, bool on);

}  // namespace kq::anchors

#endif
