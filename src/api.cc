// The C boundary: checks what needs no kqueue, looks it up, calls, sets errno.
// The only extern "C" definitions, and the only place that writes errno: last
// on failure, put back on success, whatever happened on the way.
#include <errno.h>
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

int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
    const int saved = errno;
    kq::Kqueue* queue = kq::registry::find(kq);
    if (queue == nullptr) return kq::fail(kq::Errno::bad_descriptor);
    kq::Result<int> result = kq::Errno::invalid;
    if (nchanges >= 0 && nevents >= 0)
        result = queue->run(changelist, nchanges, eventlist, nevents, timeout, kq::cancelled);
    // The number may have been closed, or be somebody else's: out of the registry then.
    if (!result.ok() && result.error() == kq::Errno::bad_descriptor && !queue->exists())
        kq::registry::retire(queue);
    kq::registry::release(queue);
    kq::registry::reap();
    if (!result.ok()) return kq::fail(result.error());
    errno = saved;
    return result.value();
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
