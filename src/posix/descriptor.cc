// SPDX-License-Identifier: BSD-2-Clause
// What a descriptor says now. Contract: namespace descriptor of platform.h. Stateless except for
// FdFacts; the lock is the kqueue's.
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "amount.h"
#include "connection.h"
#include "file_stat.h"
#include "pipe_device.h"
#include "platform.h"
#include "poll_bits.h"
#include "sockets.h"
#include "sys.h"

namespace kq::descriptor {
namespace {

// fstat(), refusing a file other than the one that was classified.
Errno stat_same(int fd, const FdFacts& facts, struct stat& st) {
    if (sys::stat_number(fd, &st) != 0) return last_errno();
    const bool same = is_of(st, facts, [fd] { return sys::control(fd, F_GETFL); });
    return same ? Errno::ok : Errno::no_entry;
}

Sample readable_file(int fd, const FdFacts& facts) {
    Sample sample;
    struct stat st {};
    note_unknown(stat_same(fd, facts, st), sample);
    if (sample.closed || sample.untold) return sample;
    const off_t offset = lseek(fd, 0, SEEK_CUR);
    sample.data = st.st_size - (offset < 0 ? 0 : offset);
    sample.active = sample.data != 0;
    return sample;
}

// Bytes that can be read; `otherwise` if the descriptor cannot count them.
int64_t bytes_readable(int fd, int64_t otherwise, bool& closed) {
    const int64_t bytes = amount::readable(fd);
    closed = bytes < 0 && errno == EBADF;
    return bytes < 0 ? otherwise : bytes;
}

// An end of a pipe that does not work in this direction. All it can say is that the other end is
// gone. poll() reports that unasked, by either bit.
Sample wrong_end(int fd, uint16_t ready) {
    Sample sample;
    sample.closed = check_open(fd) != Errno::ok;
    sample.eof = (ready & (kFailed | kHangup)) != 0;
    return sample;
}

Sample readable_other(int fd, const FdFacts& facts, uint16_t ready) {
    if (!facts.readable_end) return wrong_end(fd, ready);
    Sample sample;
    const bool pipe = facts.kind == FdKind::pipe;
    sample.eof = (ready & kHangup) != 0;
    const bool unknown = (ready & kReadable) != 0 && !sample.eof && facts.kind != FdKind::always;
    sample.data = bytes_readable(fd, unknown ? 1 : 0, sample.closed);
    sample.active = pipe ? sample.data > 0 : (ready & kReadable) != 0;
    return sample;
}

// There is no call for the room in a pipe. If poll() calls it writable, it has at least this much.
Sample writable_pipe(int fd, const FdFacts& facts, uint16_t ready) {
    if (!facts.writable_end) return wrong_end(fd, ready);
    Sample sample;
    const long atomic = fpathconf(fd, _PC_PIPE_BUF);
    sample.closed = check_open(fd) != Errno::ok;
    sample.eof = (ready & (kFailed | kHangup)) != 0;  // the last reader is gone
    sample.active = (ready & kWritable) != 0;
    if (sample.active) sample.data = atomic > 0 ? atomic : _POSIX_PIPE_BUF;
    return sample;
}

Sample writable_other(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    sample.closed = check_open(fd) != Errno::ok;
    sample.active = (ready & kWritable) != 0;
    sample.eof = (ready & kHangup) != 0;
    sample.data = sample.active && facts.kind != FdKind::always ? 1 : 0;
    return sample;
}

Errno classify_as(int fd, const struct stat& st, FdFacts& facts) {
    facts.identity = identity_of(st);
    facts.readable_end = facts.writable_end = true;
    if (S_ISSOCK(st.st_mode)) {
        facts.kind = sockets::classify(fd);
    } else if (S_ISFIFO(st.st_mode)) {
        facts.kind = FdKind::pipe;
        note_ends(sys::control(fd, F_GETFL), facts);
    } else if (S_ISREG(st.st_mode)) {
        facts.kind = FdKind::regular;
    } else if (S_ISDIR(st.st_mode)) {
        facts.kind = FdKind::directory;
    } else {
        // Devices like /dev/null. Devices that can be waited for are taken for such, too.
        const bool device = S_ISCHR(st.st_mode) && isatty(fd) == 0;
        facts.kind = device ? FdKind::always : FdKind::other;
    }
    return Errno::ok;
}

// Whether others can reach the file by a name. All pipes without a name are on one device.
bool is_named(const struct stat& st) {
    if (S_ISFIFO(st.st_mode)) return !pipe_device::is(static_cast<uint64_t>(st.st_dev));
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
}

}  // namespace

Errno check_open(int fd) {
    return sys::control(fd, F_GETFD) < 0 ? last_errno() : Errno::ok;
}

Errno check_same(int fd, const FdFacts& facts) {
    struct stat st {};
    return stat_same(fd, facts, st);
}

Errno classify(int fd, FdFacts& facts) {
    struct stat st {};
    return sys::stat_number(fd, &st) != 0 ? last_errno() : classify_as(fd, st, facts);
}

Errno file_state(int fd, FdFacts& facts, FileState& state) {
    struct stat st {};
    if (sys::stat_number(fd, &st) != 0) return last_errno();
    if (facts.kind == FdKind::unknown)
        (void)classify_as(fd, st, facts);
    else if (facts.identity != identity_of(st))
        return Errno::no_entry;
    fill_state(st, state);
    state.named = is_named(st);
    return Errno::ok;
}

uint64_t name(int /*fd*/) {
    return 0;
}

uint16_t poll(int fd, Direction direction) {
    return to_ready(sys::poll_now(fd, events_for(direction)));
}

Sample readable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (!is_known(fd, facts, ready, sample)) return sample;
    if (facts.kind == FdKind::regular) return readable_file(fd, facts);
    if (is_socket(facts.kind)) return sockets::readable(fd, facts, ready);
    return readable_other(fd, facts, ready);
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (!is_known(fd, facts, ready, sample)) return sample;
    if (facts.kind == FdKind::regular) {
        sample.closed = is_gone(check_same(fd, facts));
        sample.active = true;  // with data 0: D-26
        return sample;
    }
    if (facts.kind == FdKind::pipe) return writable_pipe(fd, facts, ready);
    if (is_socket(facts.kind)) return sockets::writable(fd, facts, ready);
    return writable_other(fd, facts, ready);
}

namespace {

// A stream is at its end if it is readable although there are no bytes to read. But the count of
// bytes stops at TCP's urgent mark, so at the mark it does not show an end. A read would show it,
// but it could take a pending error. Where poll() does not report the end itself (kPeerEnded), the
// end is seen when a read of the program has passed the mark.
bool is_at_end(int fd, const FdFacts& facts, short events) {
    const bool stream = facts.kind == FdKind::tcp || facts.kind == FdKind::unix_stream ||
                        facts.kind == FdKind::stream;
    if (!stream || (events & POLLIN) == 0 || amount::readable(fd) != 0) return false;
    return (events & kPeerEnded) != 0 || !is_socket(facts.kind) || sockatmark(fd) != 1;
}

}  // namespace

Sample urgent(int fd, const FdFacts& facts) {
    const short events = sys::poll_now(fd, static_cast<short>(POLLPRI | POLLIN | kPeerEnded));
    Sample sample;
    sample.closed = (events & POLLNVAL) != 0;
    sample.active = (events & POLLPRI) != 0 || (is_socket(facts.kind) && sockatmark(fd) == 1);
    // A socket that was never connected has POLLHUP, too. It is not readable, as one at its end is.
    const bool hung_up =
        (events & POLLHUP) != 0 && (!is_socket(facts.kind) || (events & POLLIN) != 0);
    sample.eof = hung_up || is_at_end(fd, facts, events);
    return sample;
}

Result<int64_t> unsent(int fd, const FdFacts& facts) {
    const int64_t bytes = facts.kind == FdKind::pipe ? amount::readable(fd) : amount::unsent(fd);
    // After a reset TCP still counts what was never sent.
    if (bytes > 0 && facts.kind == FdKind::tcp && connection::is_over(fd)) return int64_t{0};
    if (bytes >= 0) return bytes;
    if (errno == EBADF) return Errno::bad_descriptor;
    return errno == EINVAL ? Result<int64_t>(0) : Errno::unsupported;  // a listener
}

}  // namespace kq::descriptor
