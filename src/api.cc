// SPDX-License-Identifier: BSD-2-Clause
// The C boundary: checks what needs no kqueue, looks it up, calls, sets errno. This file has the
// only extern "C" definitions, and is the only place that writes errno. On failure errno is written
// last. On success errno is what it was before the call.
#include <errno.h>
#include <sys/event.h>

#include "kqueue.h"
#include "registry.h"
#include "registry_lookup.h"
#include "scan.h"
#include "trace.h"
#include "traced_call.h"

namespace kq {
namespace {

int fail(Errno error) {
    errno = to_int(error);
    return -1;
}

// No kqueue could be made.
int refuse(const char* call, Errno error) {
    trace_failure(TraceLevel::trouble, call, error);
    return fail(error);
}

constexpr unsigned kKnown = KEVENT_FLAG_IMMEDIATE | KEVENT_FLAG_ERROR_EVENTS;
constexpr timespec kNow{};

// Called if a thread is cancelled while it sleeps inside kevent(): gives its reference back.
void cancelled(void* kqueue) {
    registry::release(static_cast<Kqueue*>(kqueue));
}

// Called before the reference is given back. If the kqueue was closed, takes its number out of the
// registry.
[[gnu::noinline, gnu::cold]] void note_failure(Kqueue* queue, Errno error) {
    if (error == Errno::not_ours || (error == Errno::bad_descriptor && !queue->exists()))
        registry::retire(queue);
}

// The end of a call: gives the reference back and returns the result. On success errno becomes
// `saved`, its value before the call. not_ours: the number names another kqueue, which the registry
// knows after note_failure(); then again() makes the same call once more, out of line.
template <class Again>
KQ_INLINE int end_call(Kqueue* queue, Result<int> result, int saved, Again again) {
    if (!result.ok()) {
        note_failure(queue, result.error());
        registry::release_and_reap(queue);
        return result.error() == Errno::not_ours ? again() : fail(result.error());
    }
    registry::release_and_reap(queue);
    errno = saved;
    return result.value();
}

[[gnu::noinline, gnu::cold]] int kevent_again(int kq, const struct kevent* changelist, int nchanges,
                                              struct kevent* eventlist, int nevents,
                                              const timespec* timeout) {
    return kevent(kq, changelist, nchanges, eventlist, nevents, timeout);
}

[[gnu::noinline, gnu::cold]] int kevent64_again(int kq, const struct kevent64_s* changelist,
                                                int nchanges, struct kevent64_s* eventlist,
                                                int nevents, unsigned flags,
                                                const timespec* timeout) {
    return kevent64(kq, changelist, nchanges, eventlist, nevents, flags, timeout);
}

// ---- calls that are traced, and those of numbers that are no kqueue ----
// `why` is the answer of registry::find(). `saved` is errno before the call.

[[gnu::noinline, gnu::cold]] int kevent_aside(Errno why, int saved, int kq,
                                              const struct kevent* changelist, int nchanges,
                                              struct kevent* eventlist, int nevents,
                                              const timespec* timeout) {
    TracedCall call("kevent", kq, nchanges, nevents);
    const Result<Kqueue*> found = call.find(why);
    if (!found.ok()) return fail(found.error());
    Result<int> result = Errno::invalid;
    if (call.begins(timeout, true))
        result = found.value()->run(changelist, nchanges, eventlist, nevents, timeout, cancelled);
    call.end(*found.value(), result);
    return end_call(found.value(), result, saved, [=] {
        return kevent_again(kq, changelist, nchanges, eventlist, nevents, timeout);
    });
}

[[gnu::noinline, gnu::cold]] int kevent64_aside(Errno why, int saved, int kq,
                                                const struct kevent64_s* changelist, int nchanges,
                                                struct kevent64_s* eventlist, int nevents,
                                                unsigned flags, const timespec* timeout) {
    TracedCall call("kevent64", kq, nchanges, nevents);
    const Result<Kqueue*> found = call.find(why);
    if (!found.ok()) return fail(found.error());
    Result<int> result = Errno::invalid;
    if (call.begins((flags & KEVENT_FLAG_IMMEDIATE) != 0 ? &kNow : timeout, (flags & ~kKnown) == 0))
        result = found.value()->run_wide(changelist, nchanges, eventlist, nevents, flags, timeout,
                                         cancelled);
    call.end(*found.value(), result);
    return end_call(found.value(), result, saved, [=] {
        return kevent64_again(kq, changelist, nchanges, eventlist, nevents, flags, timeout);
    });
}

// ---- kevent() ----
// Each part ends with a call of the next one (a tail call), so that a kevent() call stays in one
// frame.

// Any call.
[[gnu::noinline]] int kevent_any(int kq, const struct kevent* changelist, int nchanges,
                                 struct kevent* eventlist, int nevents, const timespec* timeout) {
    const int saved = errno;
    const Result<Kqueue*> found = registry::find_in_place(kq);
    if (!found.ok())
        return kevent_aside(found.error(), saved, kq, changelist, nchanges, eventlist, nevents,
                            timeout);
    Result<int> result = Errno::invalid;
    if (nchanges >= 0 && nevents >= 0)
        result = found.value()->run(changelist, nchanges, eventlist, nevents, timeout, cancelled);
    return end_call(found.value(), result, saved, [=] {
        return kevent_again(kq, changelist, nchanges, eventlist, nevents, timeout);
    });
}

// Changes without an eventlist: the answer is 0, except if a change failed.
[[gnu::noinline]] int kevent_change_any(int kq, const struct kevent* changelist, int nchanges) {
    const int saved = errno;
    const Result<Kqueue*> found = registry::find_in_place(kq);
    if (!found.ok())
        return kevent_aside(found.error(), saved, kq, changelist, nchanges, nullptr, 0, nullptr);
    const Result<int> result = found.value()->change(changelist, nchanges);
    return end_call(found.value(), result, saved,
                    [=] { return kevent_again(kq, changelist, nchanges, nullptr, 0, nullptr); });
}

[[gnu::noinline, gnu::cold]] int end_badly(Kqueue* queue, Errno error,
                                           const struct kevent* changelist, int nchanges) {
    const int kq = queue->descriptor();
    return end_call(queue, error, 0,
                    [=] { return kevent_again(kq, changelist, nchanges, nullptr, 0, nullptr); });
}

// The same in a process with one thread, if the number certainly names a kqueue.
[[gnu::noinline]] int kevent_change_alone(int kq, const struct kevent* changelist, int nchanges) {
    const registry::Place* place = nullptr;
    Kqueue* const queue = registry::look_up_plain(kq, place);
    if (queue == nullptr) return kevent_change_any(kq, changelist, nchanges);
    const int saved = errno;
    if (!registry::take_plain(queue, place)) {
        registry::finish_release_of(queue);
        return kevent_change_any(kq, changelist, nchanges);
    }
    const Result<int> result = queue->change_alone(changelist, nchanges);
    if (!result.ok()) return end_badly(queue, result.error(), changelist, nchanges);
    if (!registry::release_plain(queue)) registry::finish_release(queue);
    errno = saved;
    return 0;
}

// A call without changes, for a kqueue that is not at rest (is_at_rest()).
[[gnu::noinline]] int kevent_take(Kqueue* queue, struct kevent* eventlist, int nevents,
                                  const timespec* timeout) {
    const int saved = errno;
    const int kq = queue->descriptor();
    const Result<int> result = queue->take(eventlist, nevents, timeout, cancelled);
    return end_call(queue, result, saved,
                    [=] { return kevent_again(kq, nullptr, 0, eventlist, nevents, timeout); });
}

// A call without changes after its first look, if that look was not the end of the call.
[[gnu::noinline]] int kevent_looked(Kqueue* queue, Kqueue::Look& look, struct kevent* eventlist,
                                    int nevents, const timespec* timeout) {
    const int saved = errno;
    const int kq = queue->descriptor();
    const Result<int> result = queue->finish(look, eventlist, nevents, timeout, cancelled);
    return end_call(queue, result, saved,
                    [=] { return kevent_again(kq, nullptr, 0, eventlist, nevents, timeout); });
}

// A call without changes whose number was closed, and perhaps used again, by a signal handler just
// now.
[[gnu::noinline, gnu::cold]] int kevent_overtaken(Kqueue* queue, int kq, struct kevent* eventlist,
                                                  int nevents, const timespec* timeout) {
    const int saved = errno;
    registry::finish_release_of(queue);
    errno = saved;
    return kevent_again(kq, nullptr, 0, eventlist, nevents, timeout);
}

// The end of a call without changes that found nothing.
[[gnu::noinline, gnu::cold]] int end_silently(Kqueue* queue) {
    const int saved = errno;
    registry::finish_release(queue);
    errno = saved;
    return 0;
}

// A call without changes in a process with one thread. Most such calls end here, with a small stack
// frame: nothing is queued, so only the kernel has to be asked.
[[gnu::noinline]] int kevent_collect(int kq, const struct kevent* changelist, int nchanges,
                                     struct kevent* eventlist, int nevents,
                                     const timespec* timeout) {
    if (nchanges != 0 || nevents <= 0 || (timeout != nullptr && !is_valid(*timeout)))
        return kevent_any(kq, changelist, nchanges, eventlist, nevents, timeout);
    const registry::Place* place = nullptr;
    Kqueue* const queue = registry::look_up_plain(kq, place);
    if (queue == nullptr) return kevent_any(kq, nullptr, 0, eventlist, nevents, timeout);
    if (!registry::take_plain(queue, place))
        return kevent_overtaken(queue, kq, eventlist, nevents, timeout);
    if (!queue->is_at_rest()) return kevent_take(queue, eventlist, nevents, timeout);
    Kqueue::Look look;
    if (!queue->finds_nothing(look, nevents, timeout))
        return kevent_looked(queue, look, eventlist, nevents, timeout);
    return registry::release_plain(queue) ? 0 : end_silently(queue);
}

}  // namespace
}  // namespace kq

// All other names are hidden. src/libkqueue.map has the same list for the linker.
#pragma GCC visibility push(default)
extern "C" {

int kqueue(void) {
    const int saved = errno;
    const kq::Result<int> fd = kq::registry::create();
    if (!fd.ok()) return kq::refuse("kqueue", fd.error());
    kq::trace_note(kq::TraceLevel::events, fd.value(), "kqueue() = %d", fd.value());
    errno = saved;
    return fd.value();
}

int kqueue1(int flags) {
    if ((flags & ~kq::Backend::kKqueue1Flags) != 0)
        return kq::refuse("kqueue1", kq::Errno::invalid);
    return kqueue();
}

int kqueuex(unsigned int flags) {
    if ((flags & ~KQUEUE_CLOEXEC) != 0) return kq::refuse("kqueuex", kq::Errno::invalid);
    return kqueue();
}

int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
    if (kq::single_threaded()) {
        if (nchanges <= 0)
            return kq::kevent_collect(kq, changelist, nchanges, eventlist, nevents, timeout);
        if (nevents == 0) return kq::kevent_change_alone(kq, changelist, nchanges);
    }
    return nchanges > 0 && nevents == 0
               ? kq::kevent_change_any(kq, changelist, nchanges)
               : kq::kevent_any(kq, changelist, nchanges, eventlist, nevents, timeout);
}

int kevent64(int kq, const struct kevent64_s* changelist, int nchanges,
             struct kevent64_s* eventlist, int nevents, unsigned int flags,
             const struct timespec* timeout) {
    const int saved = errno;
    const kq::Result<kq::Kqueue*> found = kq::registry::find_in_place(kq);
    if (!found.ok())
        return kq::kevent64_aside(found.error(), saved, kq, changelist, nchanges, eventlist,
                                  nevents, flags, timeout);
    kq::Result<int> result = kq::Errno::invalid;
    if (nchanges >= 0 && nevents >= 0 && (flags & ~kq::kKnown) == 0)
        result = found.value()->run_wide(changelist, nchanges, eventlist, nevents, flags, timeout,
                                         kq::cancelled);
    return kq::end_call(found.value(), result, saved, [=] {
        return kq::kevent64_again(kq, changelist, nchanges, eventlist, nevents, flags, timeout);
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
