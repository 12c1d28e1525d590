// SPDX-License-Identifier: BSD-2-Clause
// What fstat() says, in the words of platform.h. No state; used by the descriptor.cc
// of every platform that has fstat().
#ifndef KQ_POSIX_FILE_STAT_H
#define KQ_POSIX_FILE_STAT_H

#include <fcntl.h>
#include <sys/stat.h>

#include "platform.h"

namespace kq {

// The value of FdFacts::identity.
inline uint32_t identity_of(const struct stat& st) {
    uint64_t mixed = st.st_ino * 0x9e3779b97f4a7c15u;
    mixed ^= (st.st_dev + st.st_rdev * 31) * 0xc2b2ae3d27d4eb4fu;
    return static_cast<uint32_t>(mixed >> 32) | 1;  // never 0, which is "not known"
}

// What can be done with a number whose F_GETFL gave `flags`.
inline void note_ends(int flags, FdFacts& facts) {
    const int access = flags & O_ACCMODE;
    facts.readable_end = access != O_WRONLY;
    facts.writable_end = access != O_RDONLY;
}

// Whether st is of the file that was classified. fstat() takes both ends of a pipe for one file, so
// for a pipe this also asks flags_of(), which gives F_GETFL.
template <class FlagsOf>
bool is_of(const struct stat& st, const FdFacts& facts, FlagsOf flags_of) {
    if (identity_of(st) != facts.identity) return false;
    if (facts.kind != FdKind::pipe) return true;
    FdFacts ends;
    note_ends(flags_of(), ends);
    return ends.readable_end == facts.readable_end && ends.writable_end == facts.writable_end;
}

// For a descriptor that could not be asked: why nothing can be said of it.
inline void note_unknown(Errno error, Sample& sample) {
    sample.closed = is_gone(error);
    sample.untold = error != Errno::ok && !sample.closed;
}

// Whether make_known() has anything to do, or to say.
inline bool needs_look(const FdFacts& facts, uint16_t ready) {
    return (ready & kClosed) != 0 || facts.kind == FdKind::unknown;
}

// Classifies the descriptor if needed. False if that failed: `sample` says why.
inline bool make_known(int fd, FdFacts& facts, uint16_t ready, Sample& sample) {
    sample.closed = (ready & kClosed) != 0;
    if (!sample.closed && facts.kind == FdKind::unknown)
        note_unknown(descriptor::classify(fd, facts), sample);
    return !sample.closed && !sample.untold;
}

// readable() and writable() call this first. As make_known().
inline bool is_known(int fd, FdFacts& facts, uint16_t ready, Sample& sample) {
    return !needs_look(facts, ready) || make_known(fd, facts, ready, sample);
}

inline Nanos nanos_of(const struct timespec& ts) {
    return saturating_add(saturating_mul(ts.tv_sec, kSecond), ts.tv_nsec);
}

// Fills all members except `named` and `name`.
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
