// SPDX-License-Identifier: BSD-2-Clause
// Translates what happened to a file into NOTE_ bits: semantics 5.5, without a kqueue. Called by
// filter_vnode.cc. Pure functions, no lock.
//
// A hint is what a BSD kernel posts for one operation. A knote that asked for any bit of it gets
// all of it (D-36). So hints must not be merged before they are posted.
#ifndef KQ_VNODE_HINTS_H
#define KQ_VNODE_HINTS_H

#include <stdint.h>

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

// What to remember for the next time. Only what `changes` speak of is updated: the kernel may still
// report the rest.
FileState remember(const FileState& old, const FileState& now, uint32_t changes);

// The same when the wanted changes become `wanted`, and were `before`. What begins to be followed
// is remembered as it is now. The kernel may still report the rest.
FileState follow(const FileState& old, const FileState& now, uint32_t before, uint32_t wanted);

// The FileChange bits that must be reported to a knote with these NOTE_ bits.
uint32_t changes_for(uint32_t notes, bool directory);

}  // namespace kq::vnode

#endif
