// SPDX-License-Identifier: BSD-2-Clause
// The C boundary: checks what can be checked without a kqueue, looks the kqueue up, calls it, and
// sets errno. The functions of <sys/event.h> are defined here. errno is written here, in call_end.h
// and in among_threads.h. On failure errno is written last. On success errno has the value that it
// had before the call.
#include <errno.h>
#include <sys/event.h>

#include "among_threads.h"
#include "at_once.h"
#include "call_end.h"
#include "kqueue.h"
#include "registry.h"
#include "registry_lookup.h"
#include "scan.h"
#include "trace.h"
#include "traced_call.h"

namespace kq {
namespace {

// No kqueue could be made.
int refuse(const char* call, Errno error) {
    trace_failure(TraceLevel::trouble, call, error);
    return fail(error);
}

// kqueue() and its like. `copied`: KQUEUE_CPONFORK.
int make_queue(const char* call, bool copied) {
    const int saved = errno;
    const Result<int> fd = registry::create(copied);
    if (!fd.ok()) return refuse(call, fd.error());
    trace_note(TraceLevel::events, fd.value(), "%s() = %d", call, fd.value());
    errno = saved;
    return fd.value();
}

constexpr unsigned kCopyOnFork = 2;  // KQUEUE_CPONFORK, which not every platform defines
constexpr unsigned kKqueuexFlags = KQUEUE_CLOEXEC | (Backend::kHas.fork ? kCopyOnFork : 0);

constexpr unsigned kKnown = KEVENT_FLAG_IMMEDIATE | KEVENT_FLAG_ERROR_EVENTS;
constexpr timespec kNow{};

[[gnu::noinline, gnu::cold]] int kevent64_again(int kq, const struct kevent64_s* changelist,
                                                int nchanges, struct kevent64_s* eventlist,
                                                int nevents, unsigned flags,
                                                const timespec* timeout) {
    return kevent64(kq, changelist, nchanges, eventlist, nevents, flags, timeout);
}

// ---- calls that are traced, and those of numbers that are no kqueue ----
// `why` is the answer of registry::find(). `saved` is errno before the call.

// The number names no kqueue. If it did until this call, that kqueue is destroyed now. Otherwise a
// later call would do it, and that may be a call of a signal handler.
int not_found(Errno error) {
    registry::reap();
    return fail(error);
}

[[gnu::noinline, gnu::cold]] int kevent_aside(Errno why, int saved, int kq,
                                              const struct kevent* changelist, int nchanges,
                                              struct kevent* eventlist, int nevents,
                                              const timespec* timeout) {
    TracedCall call("kevent", kq, nchanges, nevents);
    const Result<Kqueue*> found = call.find(why);
    if (!found.ok()) return not_found(found.error());
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
    if (!found.ok()) return not_found(found.error());
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

// The end of a call in a process with one thread whose result is `result`, and which has not
// changed errno.
[[gnu::noinline, gnu::cold]] int end_slowly(Kqueue* queue, int result) {
    const int saved = errno;
    registry::finish_release(queue);
    errno = saved;
    return result;
}
KQ_INLINE int end_alone(Kqueue* queue, int result) {
    return registry::release_plain(queue) ? result : end_slowly(queue, result);
}

// A call whose number was closed, and perhaps used again, by a signal handler just now.
[[gnu::noinline, gnu::cold]] int kevent_overtaken(Kqueue* queue, int kq,
                                                  const struct kevent* changelist, int nchanges,
                                                  struct kevent* eventlist, int nevents,
                                                  const timespec* timeout) {
    const int saved = errno;
    registry::finish_release_of(queue);
    errno = saved;
    return kevent_again(kq, changelist, nchanges, eventlist, nevents, timeout);
}

KQ_INLINE int end_change(Kqueue* queue, const struct kevent* change, Errno error, int saved) {
    if (error != Errno::ok) return end_badly(queue, error, change, 1);
    if (!registry::release_plain(queue)) registry::finish_release(queue);
    errno = saved;
    return 0;
}

// One change without an eventlist in a process with one thread, after begin_alone().
template <class Verbs>
[[gnu::noinline]] int kevent_change_one(Kqueue* queue, const struct kevent* change) {
    const int saved = errno;
    return end_change(queue, change, queue->change_one_alone<Verbs>(*change), saved);
}

// The same for the knote that was found.
template <class Verbs>
[[gnu::noinline]] int kevent_change_found(Kqueue* queue, const struct kevent* change, Knote* kn) {
    const int saved = errno;
    return end_change(queue, change, queue->change_found_alone<Verbs>(kn, *change), saved);
}

// The same for EV_ADD (kAdds) or EV_DELETE of a READ or WRITE knote.
template <bool kAdds>
[[gnu::noinline, gnu::hot]] int kevent_add_or_delete(Kqueue* queue, const struct kevent* change) {
    const int saved = errno;
    Errno answer = Errno::ok;
    const bool done =
        kAdds ? queue->add_at_once(*change, answer) : queue->delete_at_once(*change, answer);
    if (!done) return kevent_change_one<OfDescriptors>(queue, change);
    return end_change(queue, change, queue->end_change_alone(*change, answer), saved);
}

// The end of such a change: it was applied, and there is something to settle.
[[gnu::noinline]] int kevent_changed(Kqueue* queue) {
    const int saved = errno;
    queue->settle_and_end_changes();
    if (!registry::release_plain(queue)) registry::finish_release(queue);
    errno = saved;
    return 0;
}

KQ_INLINE Knote* find_alone(Kqueue& queue, int16_t filter, uintptr_t ident) KQ_NO_ANALYSIS {
    return queue.find_indexed(filter, ident);
}

// Such a change of a user event.
[[gnu::noinline]] int kevent_change_user(Kqueue* queue, const struct kevent* change) {
    Knote* kn = find_alone(*queue, EVFILT_USER, change->ident);
    if (!queue->trigger_at_once(kn, *change))
        return kevent_change_found<OfUsers>(queue, change, kn);
    return queue->ring_at_once() ? end_alone(queue, 0) : kevent_changed(queue);
}

// Such a change of a timer.
[[gnu::noinline]] int kevent_change_timer(Kqueue* queue, const struct kevent* change) {
    Knote* kn = find_alone(*queue, EVFILT_TIMER, change->ident);
    const bool done =
        kn == nullptr ? queue->add_timer_at_once(*change) : queue->put_off_at_once(*kn, *change);
    if (!done) return kevent_change_found<OfTimers>(queue, change, kn);
    return queue->end_at_once() ? end_alone(queue, 0) : kevent_changed(queue);
}

// Changes without an eventlist in a process with one thread. What is usual is done here, almost
// without a stack frame.
[[gnu::noinline]] int kevent_change_alone(int kq, const struct kevent* changelist, int nchanges) {
    if (nchanges != 1) return kevent_change_any(kq, changelist, nchanges);
    const registry::Place* place = nullptr;
    Kqueue* const queue = registry::look_up_plain(kq, place);
    if (queue == nullptr) return kevent_change_any(kq, changelist, nchanges);
    if (!registry::take_plain(queue, place))
        return kevent_overtaken(queue, kq, changelist, nchanges, nullptr, 0, nullptr);
    queue->begin_alone();
    if (is_of_descriptors(changelist->filter)) {
        if (queue->switch_at_once(*changelist)) {
            queue->unlock_at_once();
            return end_alone(queue, 0);
        }
        return (changelist->flags & EV_ADD) != 0 ? kevent_add_or_delete<true>(queue, changelist)
                                                 : kevent_add_or_delete<false>(queue, changelist);
    }
    if (changelist->filter == EVFILT_USER) return kevent_change_user(queue, changelist);
    if (changelist->filter == EVFILT_TIMER) return kevent_change_timer(queue, changelist);
    return kevent_change_one<ByTable>(queue, changelist);
}

// Changes and an eventlist in a process with one thread: one change of READ or WRITE.
[[gnu::noinline]] int kevent_change_collect(int kq, const struct kevent* changelist, int nchanges,
                                            struct kevent* eventlist, int nevents,
                                            const timespec* timeout) {
    const registry::Place* place = nullptr;
    Kqueue* queue = nullptr;
    if (nchanges == 1 && nevents > 0 && is_of_descriptors(changelist->filter))
        queue = registry::look_up_plain(kq, place);
    if (queue == nullptr) return kevent_any(kq, changelist, nchanges, eventlist, nevents, timeout);
    if (!registry::take_plain(queue, place))
        return kevent_overtaken(queue, kq, changelist, nchanges, eventlist, nevents, timeout);
    const int saved = errno;
    queue->begin_alone();
    const Result<int> result =
        queue->run_one_begun<OfDescriptors>(*changelist, eventlist, nevents, timeout, cancelled);
    return end_call(queue, result, saved, [=] {
        return kevent_again(kq, changelist, nchanges, eventlist, nevents, timeout);
    });
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

// A call without changes for a kqueue that has only a triggered user event.
[[gnu::noinline]] int kevent_take_trigger(Kqueue* queue, struct kevent* eventlist, int nevents,
                                          const timespec* timeout) {
    Kqueue::Look look;
    if (!queue->take_trigger(look, *eventlist, nevents))
        return kevent_looked(queue, look, eventlist, nevents, timeout);
    return end_alone(queue, 1);
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
        return kevent_overtaken(queue, kq, nullptr, 0, eventlist, nevents, timeout);
    if (!keeps_errno_in_look<Backend>() || !queue->is_at_rest())
        return eventlist != nullptr && queue->has_one_trigger()
                   ? kevent_take_trigger(queue, eventlist, nevents, timeout)
                   : kevent_take(queue, eventlist, nevents, timeout);
    Kqueue::Look look;
    if (!queue->finds_nothing(look, nevents, timeout))
        return kevent_looked(queue, look, eventlist, nevents, timeout);
    return end_alone(queue, 0);
}

// ---- the same in a process with several threads: among_threads.h ----

[[gnu::noinline]] int kevent_change_shared(int kq, const struct kevent* changelist, int nchanges) {
    return kevent_change_among(kq, changelist, nchanges, kevent_change_any);
}

[[gnu::noinline]] int kevent_collect_shared(int kq, const struct kevent* changelist, int nchanges,
                                            struct kevent* eventlist, int nevents,
                                            const timespec* timeout) {
    Kqueue* queue = nullptr;
    if (nchanges == 0 && nevents > 0 && (timeout == nullptr || is_valid(*timeout)))
        queue = registry::find_among_threads(kq);
    if (queue == nullptr) return kevent_any(kq, changelist, nchanges, eventlist, nevents, timeout);
    queue->begin_among_threads();
    // kevent_looked() saves errno only after the first look, so the look must not change errno.
    if (!keeps_errno_in_look<Backend>() || !queue->is_at_rest())
        return kevent_take_among(queue, eventlist, nevents, timeout);
    Kqueue::Look look;
    if (!queue->looks_in_vain(look, nevents, timeout))
        return kevent_looked(queue, look, eventlist, nevents, timeout);
    queue->unlock_among_threads();
    return end_among(queue, 0);
}

}  // namespace
}  // namespace kq

// All other names are hidden. src/libkqueue.map has the same list for the linker.
#pragma GCC visibility push(default)
extern "C" {

int kqueue(void) {
    return kq::make_queue("kqueue", false);
}

int kqueue1(int flags) {
    if ((flags & ~kq::Backend::kKqueue1Flags) != 0)
        return kq::refuse("kqueue1", kq::Errno::invalid);
    return kqueue();
}

int kqueuex(unsigned int flags) {
    if ((flags & ~kq::kKqueuexFlags) != 0) return kq::refuse("kqueuex", kq::Errno::invalid);
    return kq::make_queue("kqueuex", (flags & kq::kCopyOnFork) != 0);
}

int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
    if (kq::single_threaded()) {
        if (nchanges <= 0)
            return kq::kevent_collect(kq, changelist, nchanges, eventlist, nevents, timeout);
        if (nevents == 0) return kq::kevent_change_alone(kq, changelist, nchanges);
        return kq::kevent_change_collect(kq, changelist, nchanges, eventlist, nevents, timeout);
    }
    if (nchanges > 0 && nevents == 0) return kq::kevent_change_shared(kq, changelist, nchanges);
    return kq::kevent_collect_shared(kq, changelist, nchanges, eventlist, nevents, timeout);
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
