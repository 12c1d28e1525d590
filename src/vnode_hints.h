// From what happened to a file to NOTE_ bits: semantics 5.5, without a kqueue.
// Called by filter_vnode.cc. Pure functions, no lock.
//
// A hint is what a BSD kernel posts for one operation. A knote that asked for any bit
// of it gets all of it (D-36), so hints must not be merged before they are posted.
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

// What is to be posted for FileChange bits that were told of a file which was `old` when
// last looked at and is `now`. kUnknown is answered by comparing; kLost also with what
// may have happened unseen.
Hints hints_for(const FileState& old, const FileState& now, uint32_t changes);

// What is to be remembered for the next time. Only what `changes` speak of is brought up
// to date: of the rest the kernel may still have to tell.
FileState remember(const FileState& old, const FileState& now, uint32_t changes);

// The FileChange bits that a knote with these NOTE_ bits has to be told of.
uint32_t changes_for(uint32_t notes, bool directory);

}  // namespace kq::vnode

#endif
