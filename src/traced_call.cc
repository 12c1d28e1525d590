// SPDX-License-Identifier: BSD-2-Clause
// One line for each call. See traced_call.h.
#include "traced_call.h"

#include <inttypes.h>

#include "kqueue.h"
#include "platform.h"
#include "registry.h"
#include "trace.h"

namespace kq {

TracedCall::TracedCall(const char* name, int kq, int nchanges, int nevents)
    : name_(name), kq_(kq), nchanges_(nchanges), nevents_(nevents) {
    if (trace_enabled(TraceLevel::trouble)) began_ = now(Clock::monotonic);
}

Result<Kqueue*> TracedCall::find(Errno why) {
    Result<Kqueue*> found = why;
    if (why == Errno::traced) found = registry::find_traced(kq_);
    if (!found.ok()) fail(nullptr, found.error());
    return found;
}

bool TracedCall::begins(const timespec* timeout, bool known_flags) {
    known_flags_ = known_flags;
    if (nchanges_ < 0 || nevents_ < 0 || !known_flags) return false;
    has_timeout_ = nevents_ > 0 && timeout != nullptr;
    if (has_timeout_) timeout_ = *timeout;
    return true;
}

void TracedCall::end(Kqueue& queue, Result<int> result) {
    if (result.error() == Errno::not_ours) return;  // it is made again, and is traced then
    if (!result.ok()) {
        fail(&queue, result.error());
        return;
    }
    if (!trace_enabled(TraceLevel::events)) return;
    if (result.value() == 0 && nevents_ > 0) queue.explain();
    names::Text line;
    append_arguments(line);
    line.append(" = %d", result.value());
    append_end(line);
    trace_line(TraceLevel::events, kq_, line);
}

void TracedCall::fail(const Kqueue* queue, Errno error) const {
    // Nothing to delete, or no such descriptor: a line about the change has said that. Or a handler
    // of a signal ran.
    const bool usual = error == Errno::no_entry || error == Errno::interrupted ||
                       (error == Errno::bad_descriptor && queue != nullptr && queue->exists());
    const TraceLevel at = usual ? TraceLevel::events : TraceLevel::trouble;
    if (!trace_enabled(at)) return;
    names::Text line;
    append_arguments(line);
    line.append(" = -1 ");
    names::append(line, error);
    if (const char* why = reason(queue, error)) line.append(" (%s)", why);
    append_end(line);
    trace_line(at, kq_, line);
}

// The meaning of the error, if the arguments or the kqueue are at fault. Null: it is the error of a
// change, or needs no explanation.
const char* TracedCall::reason(const Kqueue* queue, Errno error) const {
    if (error == Errno::bad_descriptor) {
        if (queue == nullptr) return "this is no kqueue";
        return queue->exists() ? nullptr : "the kqueue was closed";
    }
    if (error != Errno::invalid) return nullptr;
    if (nchanges_ < 0 || nevents_ < 0) return "a count is below 0";
    if (!known_flags_) return "flags that are not known";
    return has_timeout_ && !is_valid(timeout_) ? "the timeout is not valid" : nullptr;
}

// kevent(1 change, room for 8, timeout 0.100000000 s)
void TracedCall::append_arguments(names::Text& line) const {
    line.append("%s(%d change%s, room for %d", name_, nchanges_, nchanges_ == 1 ? "" : "s",
                nevents_);
    if (has_timeout_ && is_valid(timeout_))
        line.append(", timeout %" PRId64 ".%09ld s", static_cast<int64_t>(timeout_.tv_sec),
                    static_cast<long>(timeout_.tv_nsec));
    else if (has_timeout_)
        line.append(", timeout {tv_sec %" PRId64 ", tv_nsec %ld}",
                    static_cast<int64_t>(timeout_.tv_sec), static_cast<long>(timeout_.tv_nsec));
    line.append(")");
}

// When the call ended, by the wall clock. No library function for that is safe in a handler of a
// signal, so it is UTC.
void TracedCall::append_end(names::Text& line) const {
    constexpr Nanos kDay = Nanos{24} * 60 * 60;
    const Nanos took = now(Clock::monotonic) - began_;
    const Nanos wall = now(Clock::realtime);
    const auto second = static_cast<int>(wall / kSecond % kDay);
    line.append(", after %" PRId64 ".%06d s, at %02d:%02d:%02d.%06d UTC, thread %" PRIu64,
                took / kSecond, static_cast<int>(took % kSecond / 1000), second / 3600,
                second / 60 % 60, second % 60, static_cast<int>(wall % kSecond / 1000),
                thread_number());
}

}  // namespace kq
