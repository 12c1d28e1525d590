// SPDX-License-Identifier: BSD-2-Clause
// Other numbers of a kqueue: dup() makes them, and we are not notified. See is_duplicate() in
// capabilities.h. No lock except the registry's, where the function says so.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "anchors.h"
#include "backend.h"
#include "epoll.h"
#include "sys.h"

namespace kq {

// Told by EINVAL: an epoll set cannot be added to itself.
bool Backend::is_duplicate(int descriptor, int other) {
    if (!anchors::has_joined(descriptor)) return false;
    if (epoll::control(descriptor, EPOLL_CTL_ADD, other, 0, Handle{}) == 0) {
        (void)epoll::control(descriptor, EPOLL_CTL_DEL, other, 0, Handle{});
        return false;
    }
    return errno == EINVAL;
}

void Backend::close_in_child(int descriptor) {
    if (anchors::has_joined(descriptor)) sys::close(descriptor);
}

Result<uint32_t> Backend::tag_of(int descriptor) {
    return anchors::tag_of(descriptor);
}

namespace {

// For the case that no descriptor is free: the table is full, or the limit was lowered. In the
// second case numbers beyond the limit may be open. Of these the usual ones are looked at.
int visit_numbers(void (*visit)(void*, int), void* context) {
    constexpr rlim_t kLeast = 1024;
    constexpr rlim_t kMost = 1 << 21;  // higher ones are no kqueues: see registry_cells.h
    rlimit limit{};
    const bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
    const int end = static_cast<int>(std::clamp(known ? limit.rlim_cur : kMost, kLeast, kMost));
    for (int fd = 0; fd < end; fd++)
        visit(context, fd);
    return end;
}

// An entry of SYS_getdents64; the C library may have no struct for it.
constexpr size_t kEntryLength = 16;  // 16 bits
constexpr size_t kEntryName = 19;

long length_of(const char* entry) {
    uint16_t length = 0;
    memcpy(&length, entry + kEntryLength, sizeof length);
    return length;
}

}  // namespace

Result<int> Backend::visit_open(void (*visit)(void*, int), void* context) {
    const int directory = sys::open_for_reading("/proc/self/fd");
    if (directory < 0 && errno == ENOMEM) return Errno::no_memory;
    if (directory < 0 && (errno == EMFILE || errno == ENFILE)) return visit_numbers(visit, context);
    if (directory < 0) return 0;  // without /proc no tag can be read
    char entries[2048];
    int count = 0;
    long size = 0;
    while ((size = sys::call(SYS_getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < size; at += length_of(entries + at)) {
            const char* name = entries + at + kEntryName;
            const int fd = name[0] == '.' ? directory : static_cast<int>(strtol(name, nullptr, 10));
            if (fd == directory) continue;
            visit(context, fd);
            count++;
        }
    const Errno error = size < 0 ? last_errno() : Errno::ok;
    sys::close(directory);
    return error == Errno::ok ? Result<int>(count) : error;
}

// The set was replaced (renewal.cc), and the duplicate still names the old one.
void Backend::follow(int duplicate, int descriptor) {
    const int flags = fcntl(duplicate, F_GETFD);
    (void)dup3(descriptor, duplicate, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
}

Errno Backend::adopt(int descriptor, uint32_t tag) {
    move_to(descriptor);
    tag_ = tag;
    VnodeWatch::leave(descriptor);
    return anchors::rename(descriptor, tag);
}

}  // namespace kq
