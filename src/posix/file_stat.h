// What fstat() says, in the words of platform.h. No state; used by the descriptor.cc
// of every platform that has fstat().
#ifndef KQ_POSIX_FILE_STAT_H
#define KQ_POSIX_FILE_STAT_H

#include <fcntl.h>
#include <sys/stat.h>

#include "platform.h"

namespace kq {

// FdFacts::identity.
inline uint32_t identity_of(const struct stat& st) {
    uint64_t mixed = st.st_ino * 0x9e3779b97f4a7c15u;
    mixed ^= (st.st_dev + st.st_rdev * 31) * 0xc2b2ae3d27d4eb4fu;
    return static_cast<uint32_t>(mixed >> 32) | 1;  // never 0: that is "not known"
}

// What can be done with a number whose F_GETFL gave `flags`.
inline void note_ends(int flags, FdFacts& facts) {
    const int access = flags & O_ACCMODE;
    facts.readable_end = access != O_WRONLY;
    facts.writable_end = access != O_RDONLY;
}

// Whether st is of the file that was classified. Both ends of a pipe are one file to
// fstat(): flags_of(), which gives F_GETFL, is asked for a pipe.
template <class FlagsOf>
bool is_of(const struct stat& st, const FdFacts& facts, FlagsOf flags_of) {
    if (identity_of(st) != facts.identity) return false;
    if (facts.kind != FdKind::pipe) return true;
    FdFacts ends;
    note_ends(flags_of(), ends);
    return ends.readable_end == facts.readable_end && ends.writable_end == facts.writable_end;
}

// Where a descriptor could not be asked: why there is nothing to be said of it.
inline void note_unknown(Errno error, Sample& sample) {
    sample.closed = is_gone(error);
    sample.untold = error != Errno::ok && !sample.closed;
}

// Before readable() and writable(): classifies if need be; false if that cannot be.
inline bool is_known(int fd, FdFacts& facts, uint16_t ready, Sample& sample) {
    sample.closed = (ready & kClosed) != 0;
    if (!sample.closed && facts.kind == FdKind::unknown)
        note_unknown(descriptor::classify(fd, facts), sample);
    return !sample.closed && !sample.untold;
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
