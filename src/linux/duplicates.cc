// Other numbers of a kqueue: dup() makes them, and nobody tells us. See
// is_duplicate() in platform.h. No lock but the registry's, where it says so.
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

Result<uint32_t> Backend::tag_of(int descriptor) {
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

}  // namespace kq
