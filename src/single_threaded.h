// Whether there is anybody to be careful of. Defined by the platform.
#ifndef KQ_SINGLE_THREADED_H
#define KQ_SINGLE_THREADED_H

namespace kq {

// True if this process has never had a second thread (nobody can close a
// descriptor under a blocked call then, or want a lock); false if that is not known. Cheap.
bool single_threaded();

}  // namespace kq

#endif
