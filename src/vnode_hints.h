// SPDX-License-Identifier: BSD-2-Clause
// Translates what happened to a file into NOTE_ bits: semantics 5.5, without a kqueue. Called by
// filter_vnode.cc. Pure functions, no lock.
//
// A hint is what a BSD kernel posts for one operation. A knote that asked for any bit of it gets
// all of it (D-36). So hints must not be merged before they are posted.
#ifndef KQ_VNODE_HINTS_H
#define KQ_VNODE_HINTS_H

#include <stdint.h>
#include <sys/event.h>

#include "platform.h"

namespace kq::vnode {

struct Hints {
    static constexpr int kMost = 16;
    uint32_t hint[kMost] = {};
    int count = 0;

    void add(uint32_t bits);
};

// What must be posted for reported FileChange bits. The file was `old` at the last look, and is
// `now`. kUnknown: by comparing the two. kLost: by comparing, and also what may have happened
// unseen.
Hints hints_for(const FileState& old, const FileState& now, uint32_t changes);

// The state to remember for the next time. Only the parts that `changes` name are updated: the
// kernel may still report the rest.
FileState remember(const FileState& old, const FileState& now, uint32_t changes);

// The usual case, in one pass: a file that is no directory was written, and nothing else was
// reported. Has the effect of hints_for() and remember(), and returns the bits that are posted for
// `wanted`.
inline uint32_t take_written(FileState& state, const FileState& now, uint32_t wanted) {
    const auto post = [wanted](uint32_t hint) { return (wanted & hint) != 0 ? hint : 0; };
    uint32_t posted = 0;
    if (now.size < state.size) posted = post(NOTE_TRUNCATE | NOTE_ATTRIB);
    posted |= post(now.size > state.size ? NOTE_WRITE | NOTE_EXTEND : NOTE_WRITE);
    state.size = now.size;
    state.modified = now.modified;
    state.changed = now.changed;
    state.named = now.named;
    return posted;
}

// As remember(), when the wanted changes become `wanted`, and were `before`. The parts that are
// newly wanted are remembered as they are now. The kernel may still report the rest.
FileState follow(const FileState& old, const FileState& now, uint32_t before, uint32_t wanted);

// The FileChange bits that must be reported to a knote with these NOTE_ bits.
uint32_t changes_for(uint32_t notes, bool directory);

}  // namespace kq::vnode

#endif
