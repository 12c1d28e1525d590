// Trace lines: names, not numbers. See trace.h.
// No lock: the settings are single atomics, and a line is written at once.
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "trace_names.h"

namespace kq {
namespace {

constinit std::atomic<const char*> line_prefix{nullptr};
constinit std::atomic<TraceFunction> line_function{nullptr};
constinit std::atomic<bool> initialized{false};

void print(const char* text) {
    const char* prefix = line_prefix.load(std::memory_order_relaxed);
    if (prefix == nullptr) prefix = "KQ";
    if (const TraceFunction function = line_function.load(std::memory_order_relaxed)) {
        function("%s %s\n", prefix, text);
        return;
    }
    char line[480];
    (void)snprintf(line, sizeof line, "%s %s", prefix, text);
    say(line);
}

}  // namespace

namespace trace_detail {

constinit std::atomic<bool> enabled{false};

void change(int kq, const struct kevent& change, Errno error) {
    names::Text line;
    line.append("%d: change ", kq);
    names::append(line, change);
    if (error != Errno::ok) {
        line.append(" -> ");
        names::append(line, error);
    }
    print(line.c_str());
}

void event(int kq, const struct kevent& event) {
    names::Text line;
    line.append("%d: event ", kq);
    names::append(line, event);
    print(line.c_str());
}

void wakeups(int kq, std::span<const Wakeup> reports) {
    for (const Wakeup& report : reports) {
        names::Text line;
        line.append("%d: kernel: ", kq);
        names::append(line, report);
        print(line.c_str());
    }
}

void sleep(int kq, Nanos wait) {
    names::Text line;
    if (wait == kForever)
        line.append("%d: sleep until woken", kq);
    else
        line.append("%d: sleep for at most %" PRId64 " ns", kq, wait);
    print(line.c_str());
}

void wake(int kq, Errno how) {
    names::Text line;
    line.append("%d: wake: ", kq);
    if (how == Errno::ok)
        line.append("the kernel has something");
    else if (how == Errno::timed_out)
        line.append("time is over");
    else
        names::append(line, how);
    print(line.c_str());
}

void forget(int kq, int fd) {
    names::Text line;
    line.append("%d: descriptor %d is another file now, knotes dropped", kq, fd);
    print(line.c_str());
}

}  // namespace trace_detail

void trace_initialize() {
    if (initialized.load(std::memory_order_relaxed) || initialized.exchange(true)) return;
    const char* value = getenv("KQUEUE_DEBUG");
    if (value != nullptr && value[0] != '\0' && !(value[0] == '0' && value[1] == '\0'))
        trace_set_enabled(true);
}

bool trace_set_enabled(bool on) {
    return trace_detail::enabled.exchange(on);
}
const char* trace_set_prefix(const char* prefix) {
    return line_prefix.exchange(prefix);
}
TraceFunction trace_set_function(TraceFunction function) {
    return line_function.exchange(function);
}

}  // namespace kq
