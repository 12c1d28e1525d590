// SPDX-License-Identifier: BSD-2-Clause
// Tracing: readable lines, on stderr or to a function of the program, about what the library does.
// KQUEUE_DEBUG or NOTE_DEBUG switches it on, at one of three levels. Each level shows what the one
// below shows, and more.
//
// Switched off, it costs one predictable branch in each change and each event. Calls as a whole
// cost nothing: while it is on, the registry sends each call aside (traced_call.h). Any thread. No
// lock of the tracer is held while a line is written, so a function of the program may do anything
// except use the kqueue that is traced.
#ifndef KQ_TRACE_H
#define KQ_TRACE_H

#include <stdint.h>
#include <sys/event.h>

#include <atomic>
#include <span>

#include "nanos.h"
#include "platform_types.h"
#include "result.h"
#include "trace_names.h"

namespace kq {

enum class TraceLevel : uint8_t {
    off = 0,
    trouble,  // failures and unusual things: few lines in a healthy program
    events,   // a line for each call, change and event; why a knote has none (explain.cc)
    all,      // reports of the kernel, sleeps, wakes: why it gets them
};
constexpr int kTraceLevels = 3;

namespace trace_detail {
extern std::atomic<TraceLevel> level;
void change(int kq, const struct kevent& change, Errno error);
void event(int kq, const struct kevent& event);
void wakeups(int kq, std::span<const Wakeup> reports);
void sleep(int kq, Nanos wait, Nanos slice);
void wake(int kq, Errno how);
}  // namespace trace_detail

// A function that takes a line as printf() does.
using TraceFunction = void (*)(const char* format, ...);

// Reads KQUEUE_DEBUG from the environment, the first time.
void trace_initialize();

// Returns the old level. Switching on prints a line that explains the levels.
TraceLevel trace_set_level(TraceLevel level);

// What lines begin with. The text is copied, as far as there is room; null: the usual prefix.
void trace_set_prefix(const char* prefix);

// Returns the old function; null is stderr. A line that another thread is just writing may still go
// to the old function.
TraceFunction trace_set_function(TraceFunction function);

inline bool trace_enabled(TraceLevel at) {
    return __builtin_expect(trace_detail::level.load(std::memory_order_relaxed) >= at, 0);
}

// A change was applied, or refused with `error`.
inline void trace_change(int kq, const struct kevent& change, Errno error) {
    if (trace_enabled(TraceLevel::trouble)) trace_detail::change(kq, change, error);
}
// An event was given to the caller.
inline void trace_event(int kq, const struct kevent& event) {
    if (trace_enabled(TraceLevel::events)) trace_detail::event(kq, event);
}
// The thread goes to sleep for at most `wait`. It looks again after `slice`.
inline void trace_sleep(int kq, Nanos wait, Nanos slice) {
    if (trace_enabled(TraceLevel::all)) trace_detail::sleep(kq, wait, slice);
}
// The thread sleeps no longer; `how` is the answer of Backend::sleep().
inline void trace_wake(int kq, Errno how) {
    if (trace_enabled(TraceLevel::all)) trace_detail::wake(kq, how);
}
// The kernel reported these wakeups.
inline void trace_wakeups(int kq, std::span<const Wakeup> reports) {
    if (trace_enabled(TraceLevel::all)) trace_detail::wakeups(kq, reports);
}

// kqueue(), or a similar call, has made no kqueue: its arguments were bad, or memory or descriptors
// are short.
void trace_failure(TraceLevel at, const char* call, Errno error);

// A line of text about this kqueue.
void trace_line(TraceLevel at, int kq, const names::Text& text);

// Anything else, as printf(). Not for hot paths: the arguments are evaluated at any level.
void trace_note(TraceLevel at, int kq, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

}  // namespace kq

#endif
