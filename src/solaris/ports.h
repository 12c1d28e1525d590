// SPDX-License-Identifier: BSD-2-Clause
// The calls of <port.h> (port_create(3C), port_associate(3C), port_get(3C), port_send(3C)), as they
// are used here: no cancellation points, and with an Errno. Async-signal-safe.
#ifndef KQ_SOLARIS_PORTS_H
#define KQ_SOLARIS_PORTS_H

#include <port.h>

#include "../posix/sys.h"
#include "nanos.h"
#include "result.h"

namespace kq::ports {

// EBADFD: the number is not open, is no port, or is being closed. EAGAIN: a limit of ports
// (process.max-port-events) is reached, for which kevent() has no other errno.
inline Errno answer(int result) {
    if (result >= 0) return Errno::ok;
    if (errno == EBADFD) return Errno::bad_descriptor;
    return errno == EAGAIN ? Errno::no_memory : last_errno();
}

inline Errno associate(int port, int fd, int events) {
    const sys::Uncancelled uncancelled;
    return answer(
        port_associate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(fd), events, nullptr));
}

// ok: it was armed, or its event waited in the queue and was taken back. no_entry: neither was so.
inline Errno dissociate(int port, int fd) {
    const sys::Uncancelled uncancelled;
    return answer(port_dissociate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(fd)));
}

inline Errno associate(int port, file_obj_t& file, int events, void* user) {
    const sys::Uncancelled uncancelled;
    return answer(
        port_associate(port, PORT_SOURCE_FILE, reinterpret_cast<uintptr_t>(&file), events, user));
}

inline Errno dissociate(int port, file_obj_t& file) {
    const sys::Uncancelled uncancelled;
    return answer(port_dissociate(port, PORT_SOURCE_FILE, reinterpret_cast<uintptr_t>(&file)));
}

inline Errno send(int port, int events, void* user) {
    const sys::Uncancelled uncancelled;
    return answer(port_send(port, events, user));
}

// Takes the events that are there, at most `most` (not 0), without waiting. `count` is right even
// if the answer is an error, because events may come together with an error.
inline Errno take(int port, port_event_t* list, size_t most, size_t& count) {
    const sys::Uncancelled uncancelled;
    timespec at_once{};
    uint_t got = 1;  // with 0 nothing would be taken
    const int result = port_getn(port, list, static_cast<uint_t>(most), &got, &at_once);
    const bool wrote = result == 0 || errno == ETIME;
    count = wrote ? got : 0;
    return wrote || errno == EINTR ? Errno::ok : answer(result);
}

}  // namespace kq::ports

#endif
