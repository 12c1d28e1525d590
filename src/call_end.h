// SPDX-License-Identifier: BSD-2-Clause
// The end of a kevent() call: the reference is given back, and errno is set. Included by api.cc and
// among_threads.h. On failure errno is written last. On success errno has the value that it had
// before the call.
#ifndef KQ_CALL_END_H
#define KQ_CALL_END_H

#include <errno.h>
#include <sys/event.h>

#include "kqueue.h"
#include "registry.h"
#include "registry_lookup.h"

namespace kq {

inline int fail(Errno error) {
    errno = to_int(error);
    return -1;
}

// Called if a thread is cancelled while it sleeps inside kevent(): gives its reference back.
inline void cancelled(void* kqueue) {
    registry::release(static_cast<Kqueue*>(kqueue));
}

// Takes the number out of the registry if the kqueue was closed. Called before the reference is
// given back.
[[gnu::noinline, gnu::cold]] inline void note_failure(Kqueue* queue, Errno error) {
    if (error == Errno::not_ours || (error == Errno::bad_descriptor && !queue->exists()))
        registry::retire(queue);
}

// The end of a call: gives the reference back and returns the result. On success errno becomes
// `saved`, its value before the call. not_ours: the number names another kqueue now. After
// note_failure() the registry knows this, and again() makes the same call once more, out of line.
template <class Again>
KQ_INLINE int end_call(Kqueue* queue, Result<int> result, int saved, Again again) {
    if (!result.ok()) {
        note_failure(queue, result.error());
        registry::release_and_reap(queue);
        if (result.error() != Errno::not_ours) return fail(result.error());
        errno = saved;
        return again();
    }
    registry::release_and_reap(queue);
    errno = saved;
    return result.value();
}

[[gnu::noinline, gnu::cold]] inline int kevent_again(int kq, const struct kevent* changelist,
                                                     int nchanges, struct kevent* eventlist,
                                                     int nevents, const timespec* timeout) {
    return kevent(kq, changelist, nchanges, eventlist, nevents, timeout);
}

// The end of a call with changes and without an eventlist that has failed.
[[gnu::noinline, gnu::cold]] inline int end_badly(Kqueue* queue, Errno error,
                                                  const struct kevent* changelist, int nchanges) {
    const int kq = queue->descriptor();
    return end_call(queue, error, errno,
                    [=] { return kevent_again(kq, changelist, nchanges, nullptr, 0, nullptr); });
}

}  // namespace kq

#endif
