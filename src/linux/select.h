// SPDX-License-Identifier: BSD-2-Clause
// For processes where poll() is refused. poll() takes no more descriptors than the process may have
// open, and that limit may even be 0 now: setrlimit() closes nothing, and programs lock themselves
// in with it. select() does not look at the limit. It tells less: a hangup looks like something to
// read.
//
// No state, no lock. For numbers beyond kMost sleep() looks now and then.
#ifndef KQ_LINUX_SELECT_H
#define KQ_LINUX_SELECT_H

#include <signal.h>

#include "platform_types.h"

namespace kq::select {

inline constexpr int kMost = 1 << 12;  // the sets are on the stack

// As sys::poll_now().
short look(int fd, short events);

// As Backend::sleep(): until one of two numbers is readable (-1: none). A cancellation point.
Errno sleep(int fd, int other, Nanos t, const sigset_t* mask);

}  // namespace kq::select

#endif
