// Two eventfds for all epoll sets of the process. See anchors.h.
#include "anchors.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <atomic>

#include "sys.h"

namespace kq::anchors {
namespace {

constexpr int kAnchors = 2;
constexpr int kPatience = 100'000;  // looks, in join()
constinit std::atomic<int> anchors[kAnchors] = {-1, -1};

// Sets what `epoll` hears of an anchor.
int control(int epoll, int operation, uint32_t which, uint32_t events) {
    return epoll::control(epoll, operation, anchors[which].load(), events,
                          Handle(Handle::Kind::announcement, which, 0));
}

// Whether the number of an anchor is another file by now.
bool lost(const std::atomic<int>& anchor) {
    struct stat st {};
    // What eventfds are is nameless: no file type, no permission to speak of.
    return fstat(anchor.load(), &st) != 0 || (st.st_mode & S_IFMT) != 0;
}

}  // namespace

bool made() {
    return anchors[0].load() >= 0;
}

Errno make() {
    const bool had = anchors[0].load() >= 0 && anchors[1].load() >= 0;
    if (had && !lost(anchors[0]) && !lost(anchors[1])) return Errno::ok;
    for (std::atomic<int>& anchor : anchors) {
        if (!had && anchor.load() >= 0) continue;
        const int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) return last_errno();
        anchor.store(fd);  // a lost one is not ours to close any more
    }
    return Errno::ok;
}

void close() {
    for (std::atomic<int>& anchor : anchors) {
        const int fd = anchor.exchange(-1);
        if (fd >= 0) sys::close(fd);
    }
}

Errno join(int epoll) {
    // EEXIST: a thread that uses a closed kqueue of the same number is just looking whether it
    // is still there, in has_joined(), and about to take that back.
    for (int i = 0; control(epoll, EPOLL_CTL_ADD, 0, 0) != 0; i++) {
        if (errno != EEXIST || i == kPatience) return last_errno();
        (void)sched_yield();
    }
    return Errno::ok;
}

// EPOLL_CTL_ADD of the first answers EEXIST on a set of ours and nothing else:
// EBADF or EINVAL on what is no epoll, success on somebody else's.
bool has_joined(int epoll) {
    if (control(epoll, EPOLL_CTL_ADD, 0, 0) == 0) {
        (void)control(epoll, EPOLL_CTL_DEL, 0, 0);  // not ours: as it was
        return false;
    }
    return errno == EEXIST;
}

Errno ring(int epoll) {
    return control(epoll, EPOLL_CTL_MOD, 0, EPOLLIN | EPOLLET) == 0 ? Errno::ok : last_errno();
}

Errno hold(int epoll, bool on) {
    const uint32_t events = on ? uint32_t{EPOLLIN} : 0;
    if (control(epoll, EPOLL_CTL_MOD, 1, events) == 0) return Errno::ok;
    // Most kqueues never hold: the second anchor joins at the first time. But somebody else's
    // set, which has the number of a closed one, would be readable for ever.
    if (errno != ENOENT || !has_joined(epoll)) return Errno::bad_descriptor;
    if (control(epoll, EPOLL_CTL_ADD, 1, events) == 0) return Errno::ok;
    return last_errno();
}

}  // namespace kq::anchors
