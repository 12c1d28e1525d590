// EVFILT_VNODE, as fd_watch.cc sees it: its knotes hang on the FdWatch of their
// descriptor, beside those of READ and WRITE. Lock: the kqueue's mutex.
#ifndef KQ_VNODE_H
#define KQ_VNODE_H

#include "kqueue.h"

namespace kq::vnode {

// The FileChange bits a knote wants to be told of; what that is depends on whether
// the file is a directory.
uint32_t wanted_by(const Knote& kn, const FdFacts& facts);

// The file of a knote changed, so the backend says: accumulates what there is to
// report, and activates the knote. Drops all knotes of the descriptor if that turns
// out to be another file, or closed.
void on_changed(Kqueue& kq, Knote& base, uint32_t changes) KQ_REQUIRES(kq.mutex());

}  // namespace kq::vnode

#endif
