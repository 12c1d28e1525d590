// SPDX-License-Identifier: BSD-2-Clause
// Two eventfds for all epoll sets of the process. See anchors.h.
#include "anchors.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <atomic>

#include "handle.h"
#include "own_file.h"
#include "sys.h"

namespace kq::anchors {
namespace {

constexpr int kAnchors = 2;
constexpr int kPatience = 100'000;  // tries, in join()
constinit std::atomic<int> anchors[kAnchors] = {-1, -1};
int mark_of(uint32_t tag) {
    return static_cast<int>(1 + tag % kMarks);
}

Errno mark(int epoll, uint32_t tag) {
    return own_file::set_mark(epoll, mark_of(tag));
}

// Sets what `epoll` hears of an anchor. A raw call: race detectors follow the numbers that the
// wrapper gets. Another thread may close this one at the same time, which is no mistake.
long control(int epoll, int operation, uint32_t which, uint32_t tag, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = Handle(Handle::Kind::announcement, which, tag).bits();
    return sys::call(SYS_epoll_ctl, epoll, operation, anchors[which].load(), &event);
}

bool lost(const std::atomic<int>& anchor) {
    return own_file::is_lost(anchor.load(), &anchors);
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
        const int fd = own_file::keep(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), &anchors);
        if (fd < 0) return last_errno();
        anchor.store(fd);  // a lost number is not ours to close
    }
    return Errno::ok;
}

void close() {
    for (std::atomic<int>& anchor : anchors) {
        int fd = anchor.exchange(-1);
        own_file::close(fd, &anchors);
    }
}

Errno join(int epoll, uint32_t tag) {
    // EEXIST: another thread still uses a closed kqueue of this number. It is in has_joined(), to
    // ask whether its set still exists, and will take its anchor back at once.
    for (int i = 0; control(epoll, EPOLL_CTL_ADD, 0, tag, 0) != 0; i++) {
        if (errno != EEXIST || i == kPatience) return sys::refusal();
        (void)sched_yield();
    }
    return mark(epoll, tag);
}

Errno rename(int epoll, uint32_t tag) {
    const Errno error = mark(epoll, tag);
    return error == Errno::ok ? ring(epoll, tag) : error;
}

bool is_set_of(int epoll, uint32_t tag) {
    if (own_file::marks_work()) return own_file::mark_on(epoll) == mark_of(tag);
    const int saved = errno;  // has_joined() makes a call that fails if its answer is true
    const bool joined = has_joined(epoll);
    errno = saved;
    return joined;
}

// EPOLL_CTL_ADD of the first anchor answers EEXIST only on a set of ours. The answer is EBADF or
// EINVAL if the number names no epoll set, and success on a set that is not ours.
bool has_joined(int epoll) {
    if (control(epoll, EPOLL_CTL_ADD, 0, 0, 0) == 0) {
        (void)control(epoll, EPOLL_CTL_DEL, 0, 0, 0);  // not ours: restore it
        return false;
    }
    return errno == EEXIST;
}

Errno ring(int epoll, uint32_t tag) {
    return control(epoll, EPOLL_CTL_MOD, 0, tag, EPOLLIN | EPOLLET) == 0 ? Errno::ok : last_errno();
}

Errno hold(int epoll, uint32_t tag, bool on) {
    const uint32_t events = on ? uint32_t{EPOLLIN} : 0;
    if (control(epoll, EPOLL_CTL_MOD, 1, tag, events) == 0) return Errno::ok;
    // Most kqueues never hold, so the second anchor joins when it is first needed. But it must not
    // join a set that is not ours and has the number of a closed one: that would stay readable.
    if (errno != ENOENT || !has_joined(epoll)) return Errno::bad_descriptor;
    if (control(epoll, EPOLL_CTL_ADD, 1, tag, events) == 0) return Errno::ok;
    return sys::refusal();
}

namespace {

// Finds the numbers after "data:" in a text that comes in pieces.
class DataNumbers {
  public:
    // Takes the next character; true if it ends a number, which is value().
    bool take(char c) {
        if (matched_ < sizeof kMark - 1) {
            matched_ = c == kMark[matched_] ? matched_ + 1 : c == kMark[0] ? 1 : 0;
            value_ = 0;
            return false;
        }
        const bool decimal = c >= '0' && c <= '9';
        if (decimal || (c >= 'a' && c <= 'f')) {
            value_ = value_ << 4 | static_cast<uint64_t>(decimal ? c - '0' : c - 'a' + 10);
            return false;
        }
        if (c == ' ' && value_ == 0) return false;  // a blank before the number
        matched_ = 0;
        return true;
    }
    [[nodiscard]] uint64_t value() const { return value_; }

  private:
    static constexpr char kMark[] = "data:";
    size_t matched_ = 0;
    uint64_t value_ = 0;
};

// The tag in what /proc/self/fdinfo says of an epoll set; 0: there is none. It says
// of each registration "... data: <the handle, in hex> ...".
Result<uint32_t> tag_in(int info) {
    DataNumbers numbers;
    char text[512];
    ssize_t size = 0;
    while ((size = sys::read(info, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < size; i++) {
            if (!numbers.take(text[i])) continue;
            const Handle handle(numbers.value());
            if (handle.kind() == Handle::Kind::announcement && handle.index() == 0)
                return handle.generation();
        }
    return size < 0 ? last_errno() : Result<uint32_t>(0);
}

}  // namespace

Result<uint32_t> tag_of(int epoll) {
    // This is asked of all open numbers, so a number that is no set of ours must cost one call
    // only.
    const bool marked = own_file::marks_work();
    const int mark = marked ? own_file::mark_on(epoll) : 0;
    if ((marked && mark <= 0) || !has_joined(epoll)) return uint32_t{0};
    char path[sizeof "/proc/self/fdinfo/" + 12];
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll);
    const int info = sys::open_for_reading(path);
    if (info < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) return last_errno();
    if (info < 0) return uint32_t{0};
    const Result<uint32_t> tag = tag_in(info);
    sys::close(info);
    // A thread that rings a number leaves its queue's tag there, even if the number was given to
    // another set before.
    if (marked && tag.ok() && mark_of(tag.value()) != mark) return uint32_t{0};
    return tag;
}

}  // namespace kq::anchors
