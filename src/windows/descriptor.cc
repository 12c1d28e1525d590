// SPDX-License-Identifier: BSD-2-Clause
// What a descriptor says now. Contract: namespace descriptor of platform.h.
// Sockets are in sockets.cc, the rest in files.cc; kqueues are the core's.
#include "closes.h"
#include "files.h"
#include "numbers.h"
#include "platform.h"
#include "sockets.h"

namespace kq::descriptor {
namespace {

// Classifies it if needed. False: it is not open, or cannot be the file it was.
bool is_known(int fd, FdFacts& facts, uint16_t ready) {
    if ((ready & kClosed) != 0) return false;
    return facts.kind != FdKind::unknown || classify(fd, facts) == Errno::ok;
}

}  // namespace

Errno check_open(int fd) {
    const bool open = numbers::is_socket(fd) || numbers::handle_of(fd) != nullptr;
    return open ? Errno::ok : Errno::bad_descriptor;
}

Errno check_same(int fd, const FdFacts& facts) {
    if (numbers::is_socket(fd)) {
        const bool same = facts.identity == 0 || closes::has_serial(fd, facts.identity);
        return is_socket(facts.kind) && same ? Errno::ok : Errno::no_entry;
    }
    const Errno error = files::check_same(fd, facts);
    return error == Errno::ok && is_socket(facts.kind) ? Errno::no_entry : error;
}

Errno classify(int fd, FdFacts& facts) {
    if (!numbers::is_socket(fd)) return files::classify(fd, facts);
    facts.kind = sockets::classify(fd);
    facts.readable_end = facts.writable_end = true;
    // The SocketSet knows whether a registered one still is the same.
    facts.identity = facts.registered == 0 ? closes::serial_of(fd) : 0;
    return Errno::ok;
}

uint16_t poll(int fd, Direction direction) {
    return numbers::is_socket(fd) ? sockets::poll(fd, direction) : files::poll(fd, direction);
}

Sample readable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    sample.closed = !is_known(fd, facts, ready);
    if (sample.closed) return sample;
    return is_socket(facts.kind) ? sockets::readable(fd, facts, ready)
                                 : files::readable(fd, facts, ready);
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    sample.closed = !is_known(fd, facts, ready);
    if (sample.closed) return sample;
    return is_socket(facts.kind) ? sockets::writable(fd, facts, ready)
                                 : files::writable(fd, facts, ready);
}

}  // namespace kq::descriptor
