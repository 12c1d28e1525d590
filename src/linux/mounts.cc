// SPDX-License-Identifier: BSD-2-Clause
// Mounts, by /proc/self/mountinfo. See mounts.h.
#include "mounts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <algorithm>
#include <utility>

#include "alloc.h"
#include "own_file.h"
#include "platform_types.h"
#include "sys.h"

namespace kq {
namespace {

constexpr char kPath[] = "/proc/self/mountinfo";

// A line is "36 35 98:0 /root /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw". The first five fields
// identify the mount and its place. The others may change while it is mounted.
constexpr int kFields = 5;

// The hash of a line so far, and how many of its fields were read.
struct Line {
    uint64_t hash = 0xcbf29ce484222325u;
    int fields = 0;

    void add(char c) {
        if (fields == kFields) return;
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
        if (c == ' ') fields++;
    }
};

Errno open_one(int& fd, const void* owner) {
    fd = own_file::keep(sys::open_for_reading(kPath), owner);
    if (fd >= 0) return Errno::ok;
    return errno == ENOENT || errno == EACCES ? Errno::unsupported : last_errno();
}

}  // namespace

Errno MountWatch::open() {
    if (waking_ >= 0) return Errno::ok;
    Errno error = open_one(waking_, this);
    if (error == Errno::ok) error = open_one(asked_, this);
    if (error == Errno::ok) error = read(known_);
    if (error != Errno::ok) close();
    return error;
}

void MountWatch::close() {
    own_file::close(waking_, this);
    own_file::close(asked_, this);
    free(known_.mounts);
    known_ = Table{};
    unread_ = false;
}

Errno MountWatch::read(Table& table) const {
    table.count = 0;
    Line line;
    char text[2048];
    if (lseek(asked_, 0, SEEK_SET) < 0) return last_errno();
    for (;;) {
        const ssize_t length = sys::read(asked_, text, sizeof text);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0) return last_errno();
        if (length == 0) break;
        for (ssize_t i = 0; i < length; i++) {
            if (text[i] != '\n') {
                line.add(text[i]);
                continue;
            }
            if (!grow_array(table.mounts, table.capacity, table.count + 1)) return Errno::no_memory;
            table.mounts[table.count++] = line.hash;
            line = Line{};
        }
    }
    std::sort(table.mounts, table.mounts + table.count);
    return Errno::ok;
}

// Whether `table` has a mount that `other` has not.
bool MountWatch::has_more(const Table& table, const Table& other) {
    return !std::includes(other.mounts, other.mounts + other.count, table.mounts,
                          table.mounts + table.count);
}

uint32_t MountWatch::take() {
    if (asked_ < 0) return 0;
    if (!unread_ && (sys::poll_now(asked_, POLLPRI) & (POLLPRI | POLLERR)) == 0) return 0;
    Table now;
    unread_ = read(now) != Errno::ok;
    uint32_t changes = 0;
    if (!unread_) {
        if (has_more(now, known_)) changes |= kMounted;
        if (has_more(known_, now)) changes |= kTakenAway;
        std::swap(now, known_);
    }
    free(now.mounts);
    return changes;
}

}  // namespace kq
