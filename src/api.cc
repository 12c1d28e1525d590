// The C boundary: checks what needs no kqueue, looks it up, calls, sets errno.
// The only extern "C" definitions, and the only place that writes errno: last
// on failure, put back on success, whatever happened on the way.
#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>

#include "kqueue.h"
#include "registry.h"
#include "trace.h"

namespace kq {
namespace {

int fail(Errno error) {
    errno = to_int(error);
    return -1;
}

// A thread that is cancelled asleep inside kevent() gives its reference back.
void cancelled(void* kqueue) {
    registry::release(static_cast<Kqueue*>(kqueue));
}

// Calls call(Kqueue&) for the queue of this number; what it answers is the caller's.
template <class Call>
inline int with_queue(int kq, Call call) {
    const int saved = errno;
    const Result<Kqueue*> found = registry::find(kq);
    if (!found.ok()) return fail(found.error());
    Kqueue* queue = found.value();
    const Result<int> result = call(*queue);
    // The number may have been closed, or be somebody else's: out of the registry then.
    if (!result.ok() && result.error() == Errno::bad_descriptor && !queue->exists())
        registry::retire(queue);
    registry::release(queue);
    registry::reap();
    if (!result.ok()) return fail(result.error());
    errno = saved;
    return result.value();
}

}  // namespace
}  // namespace kq

// All else is hidden; src/libkqueue.map says the same to the linker.
#pragma GCC visibility push(default)
extern "C" {

int kqueue(void) {
    const int saved = errno;
    const kq::Result<int> fd = kq::registry::create();
    if (!fd.ok()) return kq::fail(fd.error());
    errno = saved;
    return fd.value();
}

int kqueue1(int flags) {
    if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0) return kq::fail(kq::Errno::invalid);
    return kqueue();
}

int kqueuex(unsigned int flags) {
    if ((flags & ~KQUEUE_CLOEXEC) != 0) return kq::fail(kq::Errno::invalid);
    return kqueue();
}

int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
    return kq::with_queue(kq, [=](kq::Kqueue& queue) -> kq::Result<int> {
        if (nchanges < 0 || nevents < 0) return kq::Errno::invalid;
        return queue.run(changelist, nchanges, eventlist, nevents, timeout, kq::cancelled);
    });
}

int kevent64(int kq, const struct kevent64_s* changelist, int nchanges,
             struct kevent64_s* eventlist, int nevents, unsigned int flags,
             const struct timespec* timeout) {
    return kq::with_queue(kq, [=](kq::Kqueue& queue) -> kq::Result<int> {
        const unsigned known = KEVENT_FLAG_IMMEDIATE | KEVENT_FLAG_ERROR_EVENTS;
        if (nchanges < 0 || nevents < 0 || (flags & ~known) != 0) return kq::Errno::invalid;
        return queue.run_wide(changelist, nchanges, eventlist, nevents, flags, timeout,
                              kq::cancelled);
    });
}

void libkqueue_init(void) {
    kq::trace_initialize();
}

void libkqueue_drain_pending_close(void) {
    const int saved = errno;
    kq::registry::sweep();
    errno = saved;
}

}  // extern "C"
#pragma GCC visibility pop
