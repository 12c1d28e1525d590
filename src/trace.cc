// SPDX-License-Identifier: BSD-2-Clause
// Trace lines: names, not numbers. See trace.h.
// No lock: the settings are single atomics, and a line is written at once.
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "registry.h"

namespace kq {
namespace {

// The prefix, in words that are read and written one by one: a thread may set it while others write
// lines. Each setting takes the next of a few places, and then says which one. So a place that is
// being read is not written to, unless the prefix is set that many times during the read. Then a
// line may begin with pieces of two prefixes, but the text still ends within its place.
constexpr size_t kPrefixWords = 8;
constexpr size_t kPrefixPlaces = 8;
constexpr size_t kPrefixSize = kPrefixWords * sizeof(uint64_t);

struct Prefix {
    std::atomic<uint64_t> words[kPrefixWords];
};
constinit Prefix places[kPrefixPlaces]{};
constinit std::atomic<unsigned> next_place{0};
constinit std::atomic<const Prefix*> line_prefix{nullptr};  // null: the usual one
constinit std::atomic<TraceFunction> line_function{nullptr};
constinit std::atomic<bool> initialized{false};

void copy_prefix(char (&to)[kPrefixSize]) {
    const Prefix* prefix = line_prefix.load(std::memory_order_acquire);
    if (prefix == nullptr) {
        memcpy(to, "KQ", sizeof "KQ");
        return;
    }
    for (size_t i = 0; i < kPrefixWords; i++) {
        const uint64_t word = prefix->words[i].load(std::memory_order_relaxed);
        memcpy(to + i * sizeof word, &word, sizeof word);
    }
    to[kPrefixSize - 1] = '\0';
}

void print(const char* text) {
    char prefix[kPrefixSize];
    copy_prefix(prefix);
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

constinit std::atomic<TraceLevel> level{TraceLevel::off};

void change(int kq, const struct kevent& change, Errno error) {
    // If there is nothing to delete, this is no trouble: many programs delete to be sure.
    const bool trouble = error != Errno::ok && (change.flags & EV_DELETE) == 0;
    if (!trouble && !trace_enabled(TraceLevel::events)) return;
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

void sleep(int kq, Nanos wait, Nanos slice) {
    names::Text line;
    if (wait == kForever)
        line.append("%d: sleep until woken", kq);
    else
        line.append("%d: sleep for at most %" PRId64 " ns", kq, wait);
    if (slice < wait) line.append(", but look again after %" PRId64 " ns", slice);
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

}  // namespace trace_detail

void trace_failure(TraceLevel at, const char* call, Errno error) {
    if (!trace_enabled(at)) return;
    names::Text line;
    line.append("-1: %s -> ", call);
    names::append(line, error);
    print(line.c_str());
}

void trace_line(TraceLevel at, int kq, const names::Text& text) {
    trace_note(at, kq, "%s", text.c_str());
}

// NOLINTNEXTLINE(cert-dcl50-cpp): the compiler checks it
void trace_note(TraceLevel at, int kq, const char* format, ...) {
    if (!trace_enabled(at)) return;
    names::Text line;
    line.append("%d: ", kq);
    va_list arguments;
    va_start(arguments, format);
    line.append_list(format, arguments);
    va_end(arguments);
    print(line.c_str());
}

void trace_initialize() {
    if (initialized.load(std::memory_order_relaxed) || initialized.exchange(true)) return;
    const char* value = getenv("KQUEUE_DEBUG");
    if (value == nullptr || value[0] == '\0') return;
    // One digit is a level. Any other text means all.
    const bool digit = value[0] >= '0' && value[0] <= '0' + kTraceLevels && value[1] == '\0';
    (void)trace_set_level(digit ? static_cast<TraceLevel>(value[0] - '0') : TraceLevel::all);
}

TraceLevel trace_set_level(TraceLevel level) {
    const TraceLevel old = trace_detail::level.exchange(level);
    // Another thread may set another level at the same time. The thread that comes last looks
    // again.
    bool traced = false;
    do {
        traced = trace_enabled(TraceLevel::trouble);
        registry::set_traced(traced);
    } while (traced != trace_enabled(TraceLevel::trouble));
    // At level 1 there may be nothing else to say. This line shows that tracing is on.
    if (old == TraceLevel::off && level != TraceLevel::off) {
        names::Text line;
        line.append(
            "traces at level %d (1: what fails, 2: and calls, changes, events, why none "
            "comes, 3: all)",
            static_cast<int>(level));
        print(line.c_str());
    }
    return old;
}

void trace_set_prefix(const char* prefix) {
    if (prefix == nullptr) {
        line_prefix.store(nullptr);
        return;
    }
    char text[kPrefixSize] = "";
    for (size_t i = 0; i < kPrefixSize - 1 && prefix[i] != '\0'; i++)
        text[i] = prefix[i];
    Prefix& place = places[next_place.fetch_add(1) % kPrefixPlaces];
    for (size_t i = 0; i < kPrefixWords; i++) {
        uint64_t word = 0;
        memcpy(&word, text + i * sizeof word, sizeof word);
        place.words[i].store(word, std::memory_order_relaxed);
    }
    line_prefix.store(&place, std::memory_order_release);
}

TraceFunction trace_set_function(TraceFunction function) {
    return line_function.exchange(function);
}

}  // namespace kq
