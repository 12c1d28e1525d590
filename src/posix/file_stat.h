// What fstat() says, in the words of platform.h. No state; used by the descriptor.cc
// of every platform that has fstat().
#ifndef KQ_POSIX_FILE_STAT_H
#define KQ_POSIX_FILE_STAT_H

#include <sys/stat.h>

#include "platform_types.h"

namespace kq {

// FdFacts::identity.
inline uint32_t identity_of(const struct stat& st) {
    uint64_t mixed = st.st_ino * 0x9e3779b97f4a7c15u;
    mixed ^= (st.st_dev + st.st_rdev * 31) * 0xc2b2ae3d27d4eb4fu;
    return static_cast<uint32_t>(mixed >> 32) | 1;  // never 0: that is "not known"
}

inline Nanos nanos_of(const struct timespec& ts) {
    return saturating_add(saturating_mul(ts.tv_sec, kSecond), ts.tv_nsec);
}

// All but `named` and `name`.
inline void fill_state(const struct stat& st, FileState& state) {
    state.size = st.st_size;
    state.links = st.st_nlink;
    state.modified = nanos_of(st.st_mtim);
    state.changed = nanos_of(st.st_ctim);
    state.mode = st.st_mode;
    state.owner = st.st_uid;
    state.group = st.st_gid;
    state.directory = S_ISDIR(st.st_mode);
}

}  // namespace kq

#endif
