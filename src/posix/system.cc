// Small questions about the system and this process: the rest of what platform.h asks for.
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "check.h"
#include "platform.h"

namespace kq {

Nanos now(Clock clock) {
    timespec ts{};
    const clockid_t id = clock == Clock::monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    KQ_CHECK(clock_gettime(id, &ts) == 0);
    return to_nanos(ts);
}

uint32_t coarse_tick() {
    return static_cast<uint32_t>(now(Clock::monotonic) >> 24);
}

// POSIX does not say.
bool single_threaded() {
    return false;
}

namespace {

constinit std::atomic<pid_t> owner{0};

}  // namespace

// A child made by vfork() has another number, too, though it shares this memory; but it may
// not call this library.
bool mark_process() {
    owner.store(getpid());
    return true;
}
bool is_copy_of_process() {
    const pid_t marked = owner.load(std::memory_order_relaxed);
    return marked != 0 && marked != getpid();
}

namespace processes {

Errno listen(const char*& why) {
    why = "POSIX tells nobody of processes";
    return Errno::unsupported;
}
void stop_listening() {}
void abandon_in_child() {}
Result<size_t> hear(std::span<ProcessNews> /*out*/) {
    return 0;
}

}  // namespace processes
}  // namespace kq
