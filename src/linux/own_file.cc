// SPDX-License-Identifier: BSD-2-Clause
// See own_file.h.
#include "own_file.h"

#include <errno.h>
#include <fcntl.h>

#include <atomic>

#include "platform_types.h"
#include "sys.h"

namespace kq::own_file {
namespace {

constinit std::atomic<bool> unmarked{false};

// Two owners have the same mark once in 16 times. This matters only if the program has closed a
// number of one owner, and the other owner has got that number.
int mark_of(const void* owner) {
    constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15u;  // spreads addresses over the high bits
    const uint64_t spread = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(owner)) * kMultiplier;
    return static_cast<int>(kMarks + 1 + (spread >> 60));
}

bool is_closed_or_has_type(int fd) {
    struct stat st {};
    // If fstat() is refused for another reason, the file is not gone.
    if (sys::fstat(fd, &st) != 0) return errno == EBADF;
    // The kernel's anonymous files have no type; a file that has a name, a pipe and a socket do.
    return (st.st_mode & S_IFMT) != 0;
}

bool has_other_mark(int fd, const void* owner) {
    const int mark = mark_on(fd);
    return mark < 0 ? errno == EBADF : mark != mark_of(owner);
}

}  // namespace

Errno set_mark(int fd, int mark) {
    if (!marks_work() || sys::control(fd, F_SETSIG, mark) == 0) return Errno::ok;
    if (errno == ENOMEM) return Errno::no_memory;
    unmarked.store(true);
    return Errno::ok;
}

int mark_on(int fd) {
    return sys::control(fd, F_GETSIG);
}

bool marks_work() {
    return !unmarked.load(std::memory_order_relaxed);
}

int keep(int fd, const void* owner) {
    fd = sys::above_stdio(fd);
    if (fd < 0 || set_mark(fd, mark_of(owner)) == Errno::ok) return fd;
    sys::close(fd);
    errno = ENOMEM;
    return -1;
}

bool is_lost(int fd, const void* owner) {
    return marks_work() ? has_other_mark(fd, owner) : is_closed_or_has_type(fd);
}

void close(int& fd, const void* owner) {
    if (fd >= 0 && !(marks_work() && has_other_mark(fd, owner))) sys::close(fd);
    fd = -1;
}

}  // namespace kq::own_file
