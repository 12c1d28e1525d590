// SPDX-License-Identifier: BSD-2-Clause
// Tells the open file behind a number from another one that gets the number, as far as fstat() can
// tell.
#ifndef KQ_POSIX_FD_IDENTITY_H
#define KQ_POSIX_FD_IDENTITY_H

#include "file_stat.h"
#include "sys.h"

namespace kq {

// fstat() takes both ends of a pipe for one file. A file without an inode number (an event port) is
// told by the time when it was made.
inline uint32_t identity_of_end(int fd, const struct stat& st) {
    uint32_t identity = identity_of(st);
    if (st.st_ino == 0)
        identity ^= static_cast<uint32_t>(
            static_cast<uint64_t>(nanos_of(st.st_ctim)) * 0x9e3779b97f4a7c15u >> 32);
    if (!S_ISFIFO(st.st_mode)) return identity;
    return identity ^ static_cast<uint32_t>(sys::control(fd, F_GETFL) & O_ACCMODE) << 1;
}

// False, with errno, if the number is not open.
inline bool identify(int fd, uint32_t& identity) {
    struct stat st {};
    if (sys::stat_number(fd, &st) != 0) return false;
    identity = identity_of_end(fd, st);
    return true;
}

}  // namespace kq

#endif
