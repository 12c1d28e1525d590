// What a descriptor says now. Contract: namespace descriptor of platform.h.
// Stateless but for FdFacts; the lock is the kqueue's.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "../posix/file_stat.h"
#include "check.h"
#include "platform.h"
#include "proc_path.h"
#include "sockets.h"
#include "sys.h"

namespace kq::descriptor {
namespace {

// fstat(), refusing a file other than the one that was classified.
Errno stat_same(int fd, const FdFacts& facts, struct stat& st) {
    if (sys::fstat(fd, &st) != 0) return last_errno();
    const bool same = is_of(st, facts, [fd] { return fcntl(fd, F_GETFL); });
    return same ? Errno::ok : Errno::no_entry;
}

// The kind of what has no file type: epoll, eventfd and their like.
Result<FdKind> classify_anonymous(int fd) {
    char target[32];
    const ssize_t length = readlink(ProcPath(fd).text, target, sizeof target - 1);
    if (length < 0 && errno == ENOMEM) return Errno::no_memory;
    if (length < 0) return FdKind::other;  // no /proc
    target[length] = '\0';
    return strcmp(target, "anon_inode:[eventfd]") == 0 ? FdKind::eventfd : FdKind::other;
}

// Whether a file without a name never had one: memfd_create(). Kernels since 6.14 do
// not tell of what is done through such descriptors.
// If it cannot be told, it is looked at as if.
bool is_memory(int fd) {
    constexpr char kPrefix[] = "/memfd:";
    char target[sizeof kPrefix];
    const ssize_t length = readlink(ProcPath(fd).text, target, sizeof target);
    if (length < 0) return true;
    return length == sizeof target && memcmp(target, kPrefix, sizeof kPrefix - 1) == 0;
}

// The counter of an eventfd, which can be read without taking it only here.
// `otherwise` if /proc is not there.
uint64_t eventfd_count(int fd, uint64_t otherwise) {
    char text[256];
    (void)snprintf(text, sizeof text, "/proc/self/fdinfo/%d", fd);
    const int info = sys::open_for_reading(text);
    if (info < 0) return otherwise;
    const ssize_t length = sys::read(info, text, sizeof text - 1);
    sys::close(info);
    text[length < 0 ? 0 : length] = '\0';
    const char* line = strstr(text, "eventfd-count:");
    if (line == nullptr) return otherwise;
    return strtoull(line + sizeof "eventfd-count:" - 1, nullptr, 16);
}

// Bytes to be read, or -1; what cannot count gives `otherwise`.
KQ_INLINE int64_t bytes_readable(int fd, int64_t otherwise) {
    int bytes = 0;
    if (sys::ioctl(fd, FIONREAD, &bytes) == 0) return bytes;
    return errno == EBADF ? -1 : otherwise;
}

int64_t saturate(uint64_t n) {
    return n > INT64_MAX ? INT64_MAX : static_cast<int64_t>(n);
}

Sample readable_file(int fd, const FdFacts& facts) {
    Sample sample;
    struct stat st {};
    note_unknown(stat_same(fd, facts, st), sample);
    if (facts.kind == FdKind::always) sample.active = !sample.closed;
    if (sample.active || sample.closed || sample.untold) return sample;
    const off_t offset = lseek(fd, 0, SEEK_CUR);
    sample.data = st.st_size - (offset < 0 ? 0 : offset);
    sample.active = sample.data != 0;
    return sample;
}

Sample readable_other(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    sample.active = (ready & kReadable) != 0;
    sample.eof = (ready & kHangup) != 0;
    if (facts.kind == FdKind::eventfd) {
        sample.data = sample.active ? saturate(eventfd_count(fd, 1)) : 0;
        sample.closed = check_open(fd) != Errno::ok;
        return sample;
    }
    sample.data = bytes_readable(fd, sample.active && !sample.eof ? 1 : 0);
    sample.closed = sample.data < 0;
    return sample;
}

KQ_INLINE Sample readable_pipe(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (!facts.readable_end) return sample;
    sample.data = bytes_readable(fd, 0);
    sample.closed = sample.data < 0;
    sample.eof = (ready & kHangup) != 0;
    sample.active = sample.data > 0;
    return sample;
}

Sample writable_pipe(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (!facts.writable_end) return sample;
    const int capacity = fcntl(fd, F_GETPIPE_SZ);
    const int64_t queued = bytes_readable(fd, 0);
    sample.closed = capacity < 0 || queued < 0;
    sample.data = capacity - queued;
    sample.eof = (ready & kFailed) != 0;  // the last reader is gone
    sample.active = (ready & kWritable) != 0;
    return sample;
}

Sample writable_other(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    sample.closed = check_open(fd) != Errno::ok;
    sample.active = (ready & kWritable) != 0;
    sample.eof = (ready & kHangup) != 0;
    sample.data = sample.active ? 1 : 0;
    if (facts.kind == FdKind::eventfd && sample.active)
        sample.data = saturate(UINT64_MAX - 1 - eventfd_count(fd, 0));
    return sample;
}

}  // namespace

Errno check_open(int fd) {
    return fcntl(fd, F_GETFD) < 0 ? last_errno() : Errno::ok;
}

Errno check_same(int fd, const FdFacts& facts) {
    struct stat st {};
    return stat_same(fd, facts, st);
}

namespace {

Errno take_kind(Result<FdKind> kind, FdFacts& facts) {
    if (kind.ok()) facts.kind = kind.value();
    return kind.error();
}

Errno classify_as(int fd, const struct stat& st, FdFacts& facts) {
    facts.identity = identity_of(st);
    facts.readable_end = facts.writable_end = true;
    if (S_ISSOCK(st.st_mode)) {
        return take_kind(sockets::classify(fd), facts);
    } else if (S_ISFIFO(st.st_mode)) {
        facts.kind = FdKind::pipe;
        note_ends(fcntl(fd, F_GETFL), facts);
    } else if (S_ISREG(st.st_mode)) {
        facts.kind = FdKind::regular;
        facts.file_silent = st.st_nlink == 0 && is_memory(fd);
        facts.file_untold = facts.file_untold || facts.file_silent;
    } else if (S_ISDIR(st.st_mode)) {
        facts.kind = FdKind::directory;
    } else if ((st.st_mode & S_IFMT) == 0) {
        return take_kind(classify_anonymous(fd), facts);
    } else {
        facts.kind = FdKind::other;
    }
    return Errno::ok;
}

// Whether the file lives in a file system where others can reach it.
bool is_named(int fd, const struct stat& st) {
    if (S_ISSOCK(st.st_mode) || (st.st_mode & S_IFMT) == 0) return false;
    struct statfs fs {};
    return !S_ISFIFO(st.st_mode) || fstatfs(fd, &fs) != 0 || fs.f_type != PIPEFS_MAGIC;
}

}  // namespace

Errno classify(int fd, FdFacts& facts) {
    struct stat st {};
    return sys::fstat(fd, &st) != 0 ? last_errno() : classify_as(fd, st, facts);
}

Errno file_state(int fd, FdFacts& facts, FileState& state) {
    struct stat st {};
    if (sys::fstat(fd, &st) != 0) return last_errno();
    if (facts.kind == FdKind::unknown)
        (void)classify_as(fd, st, facts);
    else if (facts.identity != identity_of(st))
        return Errno::no_entry;
    fill_state(st, state);
    state.named = is_named(fd, st);
    return Errno::ok;
}

uint64_t name(int fd) {
    char target[PATH_MAX];
    const ssize_t length = readlink(ProcPath(fd).text, target, sizeof target);
    if (length < 0) return 0;
    uint64_t hash = 0xcbf29ce484222325u;
    for (ssize_t i = 0; i < length; i++)
        hash = (hash ^ static_cast<unsigned char>(target[i])) * 0x100000001b3u;
    return hash | 1;  // never 0: that is "not known"
}

uint16_t poll(int fd, Direction direction) {
    const short wanted = direction == Direction::read ? POLLIN | POLLRDHUP : POLLOUT;
    const short events = sys::poll_now(fd, wanted);
    unsigned ready = 0;
    if ((events & POLLIN) != 0) ready |= kReadable;
    if ((events & POLLOUT) != 0) ready |= kWritable;
    if ((events & POLLHUP) != 0) ready |= kHangup;
    if ((events & POLLRDHUP) != 0) ready |= kReadHangup;
    if ((events & POLLERR) != 0) ready |= kFailed;
    if ((events & POLLNVAL) != 0) ready |= kClosed;
    return static_cast<uint16_t>(ready);
}

Sample readable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (!is_known(fd, facts, ready, sample)) return sample;
    switch (facts.kind) {
        case FdKind::regular:
        case FdKind::always:
            return readable_file(fd, facts);
        case FdKind::pipe:
            return readable_pipe(fd, facts, ready);
        case FdKind::tcp:
        case FdKind::unix_stream:
        case FdKind::stream:
        case FdKind::seqpacket:
        case FdKind::datagram:
            return sockets::readable(fd, facts, ready);
        default:
            return readable_other(fd, facts, ready);
    }
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (!is_known(fd, facts, ready, sample)) return sample;
    switch (facts.kind) {
        case FdKind::regular:
        case FdKind::always:
            sample.closed = is_gone(check_same(fd, facts));
            sample.active = true;  // with data 0: D-26
            return sample;
        case FdKind::pipe:
            return writable_pipe(fd, facts, ready);
        case FdKind::tcp:
        case FdKind::unix_stream:
        case FdKind::stream:
        case FdKind::seqpacket:
        case FdKind::datagram:
            return sockets::writable(fd, facts, ready);
        default:
            return writable_other(fd, facts, ready);
    }
}

}  // namespace kq::descriptor
