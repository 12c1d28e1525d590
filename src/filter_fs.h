// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_FS for scan.cc: wakeups Kind::mounts. Lock: the kqueue's mutex.
#ifndef KQ_FILTER_FS_H
#define KQ_FILTER_FS_H

#include "knote_queue.h"

namespace kq::fs {

// Takes what the platform knows of mounts, for all knotes of the kqueue.
void hear(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

}  // namespace kq::fs

#endif
