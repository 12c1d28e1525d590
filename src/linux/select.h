// Where poll() is refused: it takes no more descriptors than the process may have open, and that
// may be none at all by now. setrlimit() takes none away; programs lock themselves in with it.
// select() does not ask. It tells less: a hangup looks like something to be read.
//
// No state, no lock. Numbers beyond kMost are looked at now and then.
#ifndef KQ_LINUX_SELECT_H
#define KQ_LINUX_SELECT_H

#include <signal.h>

#include "platform_types.h"

namespace kq::select {

inline constexpr int kMost = 1 << 15;

// As sys::poll_now().
short look(int fd, short events);

// As Backend::sleep(): until one of two is readable (-1: none). A cancellation point.
Errno sleep(int fd, int other, Nanos t, const sigset_t* mask);

}  // namespace kq::select

#endif
