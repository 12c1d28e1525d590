// Trace lines: names, not numbers. See trace.h.
// No lock: the settings are single atomics, and a line is written at once.
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "filter.h"

namespace kq {
namespace {

constinit std::atomic<const char*> line_prefix{nullptr};
constinit std::atomic<TraceFunction> line_function{nullptr};
constinit std::atomic<bool> initialized{false};

struct Name {
    unsigned bit;
    const char* text;
};

constexpr Name kFlagNames[] = {
    {EV_ADD, "EV_ADD"},         {EV_DELETE, "EV_DELETE"},     {EV_ENABLE, "EV_ENABLE"},
    {EV_DISABLE, "EV_DISABLE"}, {EV_ONESHOT, "EV_ONESHOT"},   {EV_CLEAR, "EV_CLEAR"},
    {EV_RECEIPT, "EV_RECEIPT"}, {EV_DISPATCH, "EV_DISPATCH"}, {EV_ERROR, "EV_ERROR"},
    {EV_EOF, "EV_EOF"},
};

const char* filter_name(short filter) {
    if (filter == EVFILT_LIBKQUEUE) return "EVFILT_LIBKQUEUE";
    const FilterOps* ops = find_filter(filter);
    return ops == nullptr ? "EVFILT_?" : ops->name;
}

// "EV_ADD|EV_CLEAR", and in hexadecimal what has no name.
struct FlagText {
    char text[160] = "";

    explicit FlagText(unsigned flags) {
        size_t used = 0;
        const auto append = [this, &used](const char* word) {
            const int n = snprintf(text + used, sizeof text - used, "%s%s", used ? "|" : "", word);
            if (n > 0) used += static_cast<size_t>(n);
            if (used >= sizeof text) used = sizeof text - 1;
        };
        for (const Name& name : kFlagNames)
            if ((flags & name.bit) != 0) {
                append(name.text);
                flags &= ~name.bit;
            }
        char rest[16];
        (void)snprintf(rest, sizeof rest, "0x%x", flags);
        if (flags != 0 || used == 0) append(rest);
    }
};

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

void print_kevent(int kq, const char* what, const struct kevent& kev, const char* result) {
    const FlagText flags(kev.flags);
    char line[400];
    (void)snprintf(
        line, sizeof line,
        "%d: %s {ident=%" PRIuPTR ", %s, %s, fflags=0x%x, data=%" PRIdPTR ", udata=%p}%s", kq, what,
        kev.ident, filter_name(kev.filter), flags.text, kev.fflags, kev.data, kev.udata, result);
    print(line);
}

}  // namespace

namespace trace_detail {

constinit std::atomic<bool> enabled{false};

void change(int kq, const struct kevent& change, Errno error) {
    char result[32] = "";
    if (error != Errno::ok) (void)snprintf(result, sizeof result, " -> errno %d", to_int(error));
    print_kevent(kq, "change", change, result);
}

void event(int kq, const struct kevent& event) {
    print_kevent(kq, "event", event, "");
}

void sleep(int kq, Nanos wait) {
    char line[80];
    if (wait == kForever)
        (void)snprintf(line, sizeof line, "%d: sleep until woken", kq);
    else
        (void)snprintf(line, sizeof line, "%d: sleep for at most %" PRId64 " ns", kq, wait);
    print(line);
}

void forget(int kq, int fd) {
    char line[80];
    (void)snprintf(line, sizeof line, "%d: descriptor %d is another file now, knotes dropped", kq,
                   fd);
    print(line);
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
