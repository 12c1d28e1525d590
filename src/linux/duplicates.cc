// Other numbers of a kqueue: dup() makes them, and nobody tells us. See
// find_duplicate() in platform.h. No lock but the registry's, where it says so.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "anchors.h"
#include "backend.h"
#include "epoll.h"
#include "sys.h"

namespace kq {

// An epoll set cannot be added to itself.
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

uint32_t Backend::tag_of(int descriptor) {
    return anchors::tag_of(descriptor);
}

// The set was replaced (renewal.cc); what was duplicated is the old one.
void Backend::follow(int duplicate, int descriptor) {
    const int flags = fcntl(duplicate, F_GETFD);
    (void)dup3(descriptor, duplicate, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
}

Errno Backend::adopt(int descriptor, uint32_t tag) {
    move_to(descriptor);
    tag_ = tag;
    return anchors::ring(descriptor, tag);
}

// Looks at the low numbers only, which dup() gives first: a system call for each,
// some 50 us in all. /proc/self/fd would tell all that are open, but takes a
// microsecond for each, and servers have many.
int Backend::find_duplicate(uint32_t tag) {
    constexpr int kSearched = 1024;
    for (int fd = 0; fd < kSearched; fd++)
        if (anchors::tag_of(fd) == tag) return fd;
    return -1;
}

}  // namespace kq
