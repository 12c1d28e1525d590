// SPDX-License-Identifier: BSD-2-Clause
// See amount.h.
#include "amount.h"

#include <errno.h>
#if __has_include(<sys/ioctl.h>)
    #include <sys/ioctl.h>
#endif
#if __has_include(<sys/filio.h>)  // where Solaris and its like have FIONREAD
    #include <sys/filio.h>
#endif

namespace kq::amount {

int64_t readable(int fd) {
#ifdef FIONREAD
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : -1;
#else
    (void)fd;
    errno = ENOTTY;
    return -1;
#endif
}

int64_t unsent(int fd) {
#ifdef TIOCOUTQ
    int bytes = 0;
    return ioctl(fd, TIOCOUTQ, &bytes) == 0 ? bytes : -1;
#else
    (void)fd;
    errno = ENOTTY;
    return -1;
#endif
}

}  // namespace kq::amount
