// Filters that this build does not have. Each refuses EV_ADD with ENOSYS and
// says so on stderr, once: nothing fails or succeeds silently.
#include <stdio.h>

#include <atomic>

#include "check.h"
#include "kqueue.h"

namespace kq {
namespace {

Errno refuse(const char* name, std::atomic<bool>& said) {
    if (said.exchange(true)) return Errno::unimplemented;
    char line[100];
    (void)snprintf(line, sizeof line, "libkqueue: FIXME -- UNIMPLEMENTED: %s on this platform",
                   name);
    say(line);
    return Errno::unimplemented;
}

// Compile-time strings as template arguments need an object with linkage.
template <const char* Name>
constexpr FilterOps missing_filter() {
    FilterOps ops{};
    ops.name = Name;
    ops.find = [](Kqueue&, uintptr_t) -> Result<Knote*> { return nullptr; };
    ops.absent = never_added;
    ops.create = [](Kqueue&, const struct kevent&) -> Result<Knote*> {
        static constinit std::atomic<bool> said{false};
        return refuse(Name, said);
    };
    return ops;  // the other verbs need a knote, and there is none
}

constexpr char kAio[] = "EVFILT_AIO";
constexpr char kNetdev[] = "EVFILT_NETDEV";
constexpr char kFs[] = "EVFILT_FS";
constexpr char kLio[] = "EVFILT_LIO";

}  // namespace

constinit const FilterOps kMissingAio = missing_filter<kAio>();
constinit const FilterOps kMissingNetdev = missing_filter<kNetdev>();
constinit const FilterOps kMissingFs = missing_filter<kFs>();
constinit const FilterOps kMissingLio = missing_filter<kLio>();

}  // namespace kq
