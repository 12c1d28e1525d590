// SPDX-License-Identifier: BSD-2-Clause
// The usual calls of a process with several threads. The calls of a process with one thread are in
// api.cc. The usual calls begin and end in kevent(), almost without a stack frame. All other calls
// go on as kevent_any() and kevent_change_any() do. Included by api.cc only.
//
// The mutex is locked before the question whether the kqueue is at rest, because other threads
// change the answer. From then to the end of the call the mutex is free only while the thread
// sleeps.
#ifndef KQ_AMONG_THREADS_H
#define KQ_AMONG_THREADS_H

#include "at_once.h"
#include "call_end.h"
#include "kqueue.h"
#include "registry_lookup.h"
#include "scan.h"

namespace kq {

// The end of a call that has not changed errno.
[[gnu::noinline, gnu::cold]] inline int end_slowly_among(Kqueue* queue, int result) {
    const int saved = errno;
    registry::release_and_reap(queue);
    errno = saved;
    return result;
}
KQ_INLINE int end_among(Kqueue* queue, int result) {
    return registry::release_usual(queue) ? result : end_slowly_among(queue, result);
}

// One change without an eventlist, after begin_among_threads().
template <class Verbs>
[[gnu::noinline]] int kevent_change_one_among(Kqueue* queue, const struct kevent* change) {
    const int saved = errno;
    const Errno error = queue->change_one_among<Verbs>(*change);
    if (__builtin_expect(error != Errno::ok, 0)) return end_badly(queue, error, change, 1);
    if (!registry::release_usual(queue)) registry::release_and_reap(queue);
    errno = saved;
    return 0;
}

// Changes without an eventlist. `any` does all calls except the usual ones.
KQ_INLINE int kevent_change_among(int kq, const struct kevent* changelist, int nchanges,
                                  int (*any)(int, const struct kevent*, int)) {
    Kqueue* const queue = nchanges == 1 ? registry::find_among_threads(kq) : nullptr;
    if (queue == nullptr) return any(kq, changelist, nchanges);
    queue->begin_among_threads();
    if (!is_of_descriptors(changelist->filter))
        return kevent_change_one_among<ByTable>(queue, changelist);
    if (!queue->switch_at_once(*changelist))
        return kevent_change_one_among<OfDescriptors>(queue, changelist);
    queue->unlock_among_threads();
    return end_among(queue, 0);
}

// A call without changes, after begin_among_threads().
[[gnu::noinline]] inline int kevent_take_among(Kqueue* queue, struct kevent* eventlist, int nevents,
                                               const timespec* timeout) {
    const int saved = errno;
    const int kq = queue->descriptor();
    const Result<int> result = queue->take_begun(eventlist, nevents, timeout, cancelled);
    return end_call(queue, result, saved,
                    [=] { return kevent_again(kq, nullptr, 0, eventlist, nevents, timeout); });
}

}  // namespace kq

#endif
