// KQUEUE_DEBUG: one readable line on stderr per change, report of the kernel,
// event, sleep and wake.
//
// Off, each call costs one predictable branch. Any thread.
#ifndef KQ_TRACE_H
#define KQ_TRACE_H

#include <sys/event.h>

#include <atomic>
#include <span>

#include "nanos.h"
#include "platform_types.h"
#include "result.h"

namespace kq {

namespace trace_detail {
extern std::atomic<bool> enabled;
void change(int kq, const struct kevent& change, Errno error);
void event(int kq, const struct kevent& event);
void wakeups(int kq, std::span<const Wakeup> reports);
void sleep(int kq, Nanos wait);
void wake(int kq, Errno how);
void forget(int kq, int fd);
}  // namespace trace_detail

// A function that takes a line as printf() does.
using TraceFunction = void (*)(const char* format, ...);

// Reads KQUEUE_DEBUG from the environment, the first time.
void trace_initialize();

// Setters return the old value. The prefix must stay alive; null is the usual one.
bool trace_set_enabled(bool on);
const char* trace_set_prefix(const char* prefix);
TraceFunction trace_set_function(TraceFunction function);

inline bool trace_enabled() {
    return __builtin_expect(trace_detail::enabled.load(std::memory_order_relaxed), 0);
}

// A change was applied, or refused with `error`.
inline void trace_change(int kq, const struct kevent& change, Errno error) {
    if (trace_enabled()) trace_detail::change(kq, change, error);
}
// An event was given to the caller.
inline void trace_event(int kq, const struct kevent& event) {
    if (trace_enabled()) trace_detail::event(kq, event);
}
// The thread goes to sleep for at most `wait`.
inline void trace_sleep(int kq, Nanos wait) {
    if (trace_enabled()) trace_detail::sleep(kq, wait);
}
// It does not sleep any more; the answer of Backend::sleep().
inline void trace_wake(int kq, Errno how) {
    if (trace_enabled()) trace_detail::wake(kq, how);
}
// The kernel reported these.
inline void trace_wakeups(int kq, std::span<const Wakeup> reports) {
    if (trace_enabled()) trace_detail::wakeups(kq, reports);
}
// The knotes of a descriptor were dropped: it is not the file it was.
inline void trace_forget(int kq, int fd) {
    if (trace_enabled()) trace_detail::forget(kq, fd);
}

}  // namespace kq

#endif
