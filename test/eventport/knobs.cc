// SPDX-License-Identifier: BSD-2-Clause
#include "knobs.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace eventport {

Knobs knobs;

namespace {

uint64_t random_state;

[[noreturn]] void reject(const char* what, const char* name, size_t length) {
    std::fprintf(stderr, "eventport: %s '%.*s' in KQ_PORT\n", what, static_cast<int>(length), name);
    std::abort();
}

struct Kind {
    const char* name;
    mode_t mode;
};

// For epoll, eventfd and similar descriptors fstat() gives no type: "anon".
constexpr Kind kKinds[] = {{"socket", S_IFSOCK}, {"fifo", S_IFIFO}, {"file", S_IFREG},
                           {"char", S_IFCHR},    {"dir", S_IFDIR},  {"anon", 0}};

void refuse(const char* value, size_t length) {
    for (const Kind& kind : kKinds) {
        if (std::strlen(kind.name) != length || std::strncmp(kind.name, value, length) != 0)
            continue;
        knobs.refused_kinds |= 1u << ((kind.mode & S_IFMT) >> 12);
        return;
    }
    reject("unknown kind", value, length);
}

void set_one(const char* name, size_t length, const char* value, size_t value_length) {
    const auto is = [&](const char* known) {
        return std::strlen(known) == length && std::strncmp(known, name, length) == 0;
    };
    const bool on = *value != '0';
    if (is("max_events"))
        knobs.max_events = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    else if (is("timers"))
        knobs.timers = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    else if (is("seed"))
        knobs.seed = std::strtoull(value, nullptr, 0);
    else if (is("eintr"))
        knobs.eintr = std::strtod(value, nullptr);
    else if (is("etime_events"))
        knobs.etime_events = std::strtod(value, nullptr);
    else if (is("stale"))
        knobs.stale = std::strtod(value, nullptr);
    else if (is("spurious_fifo"))
        knobs.spurious_fifo = on;
    else if (is("short"))
        knobs.one_at_a_time = on;
    else if (is("file_off"))
        knobs.file_off = on;
    else if (is("highres_off"))
        knobs.highres_denied = on;
    else if (is("pump"))
        knobs.pump = on;
    else if (is("refuse_fd"))
        refuse(value, value_length);
    else
        reject("unknown knob", name, length);
}

uint64_t next_random() {  // splitmix64
    random_state += 0x9E3779B97F4A7C15ull;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

}  // namespace

void set_knobs(const char* text) {
    knobs = Knobs();
    if (text == nullptr) text = "";
    while (*text != '\0') {
        const size_t item = std::strcspn(text, ",");
        const size_t name = std::strcspn(text, "=,");
        if (name < item) {
            set_one(text, name, text + name + 1, item - name - 1);
        } else if (item > 0) {
            set_one(text, item, "1", 1);
        }
        text += item;
        if (*text == ',') text++;
    }
    if (knobs.seed == 0) knobs.seed = static_cast<uint64_t>(std::time(nullptr)) | 1;
    random_state = knobs.seed;
    // Without the printed seed a failure could not be repeated.
    if (knobs.eintr > 0 || knobs.etime_events > 0 || knobs.stale > 0)
        std::fprintf(stderr, "eventport: seed=%llu\n", static_cast<unsigned long long>(knobs.seed));
}

bool chance(double probability) {
    if (probability <= 0) return false;
    return static_cast<double>(next_random() >> 11) * 0x1.0p-53 < probability;
}

}  // namespace eventport
