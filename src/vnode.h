// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE, as fd_watch.cc sees it: its knotes hang on the FdWatch of their
// descriptor, beside those of READ and WRITE. Lock: the kqueue's mutex.
#ifndef KQ_VNODE_H
#define KQ_VNODE_H

#include "knote_queue.h"

namespace kq::vnode {

// The FileChange bits that must be reported to a knote. They depend on whether the file is a
// directory.
uint32_t wanted_by(const Knote& kn, const FdFacts& facts);

// The backend says that the file of a knote changed: accumulates what there is to report, and
// activates the knote. If the descriptor turns out to be closed, or another file, all its knotes
// are dropped.
void on_changed(KnoteQueue& kq, Knote& base, uint32_t changes) KQ_REQUIRES(kq.mutex());

// What take_write() has done.
enum class Written : uint8_t {
    other,    // not the usual case: nothing was done
    nothing,  // the program has not asked for the change
    event,    // `event` was filled, and the knote waits for the next change
};
// Has the effect of on_changed() and process(), in one pass, in the usual case. The backend reports
// kModified of the file of this watch, and nothing else. The usual case is a regular file whose
// only knote is of EVFILT_VNODE, with EV_CLEAR, and waits nowhere.
Written take_write(KnoteQueue& kq, FdWatch& watch, struct kevent& event) KQ_REQUIRES(kq.mutex());

}  // namespace kq::vnode

#endif
