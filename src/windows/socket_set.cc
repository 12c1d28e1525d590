// SPDX-License-Identifier: BSD-2-Clause
// One poll for each socket. See socket_set.h.
#include "socket_set.h"

#include <algorithm>
#include <utility>

#include "alloc.h"
#include "check.h"
#include "closes.h"
#include "numbers.h"
#include "platform.h"
#include "sockets.h"

namespace kq {

struct SocketSet::Socket {
    afd::Poll poll;  // first: what packets name
    closes::Watch* close;
    uintptr_t base;
    Handle handle;
    int fd;
    Mode mode[kDirections];   // wanted
    bool spent[kDirections];  // an edge that was reported, and may still be ready
    uint32_t turn;            // in which the poll was made
    bool orphan;              // to be freed when its packet comes
    bool listed;
    Socket* next;  // while listed
    Socket* previous;
};

namespace {

constexpr Direction kBoth[] = {Direction::read, Direction::write};
constexpr Nanos kRetry = 20 * kMillisecond;

uint8_t bit(Direction d) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(d));
}
size_t at(Direction d) {
    return static_cast<size_t>(d);
}

}  // namespace

// ---- life ----

void SocketSet::close() {
    by_number_.for_each([this](size_t, Socket*& socket) {
        if (socket != nullptr) drop(*socket);
    });
}

Result<SocketSet::Socket*> SocketSet::make_socket(int fd) {
    Socket** place = by_number_.at(static_cast<size_t>(fd));
    if (place == nullptr) return Errno::no_memory;
    Errno error = edges_.prepare(fd);
    if (error != Errno::ok) return error;
    const uintptr_t base = afd::base_of(fd);
    if (base == 0) return Errno::bad_descriptor;
    Owned<Socket> socket = make<Socket>();
    if (!socket) return Errno::no_memory;
    const Result<closes::Watch*> close = closes::acquire(fd);
    if (!close.ok()) return close.error();
    const Result<afd::Device*> device = devices_.reserve();
    if (!device.ok()) {
        closes::release(*close.value());
        return device.error();
    }
    socket->poll.device = device.value();
    socket->close = close.value();
    socket->base = base;
    socket->fd = fd;
    *place = socket.get();
    return socket.release();
}

// The socket is not watched any more. Its memory is freed with its last packet.
void SocketSet::drop(Socket& socket) {
    for (const Direction d : kBoth)
        (void)edges_.remove(socket.fd, d);
    unlist(socket);
    Socket** place = by_number_.find(static_cast<size_t>(socket.fd));
    KQ_CHECK(place != nullptr && *place == &socket);
    *place = nullptr;
    closes::release(*socket.close);
    socket.orphan = true;
    if (socket.poll.pending) {
        afd::cancel(socket.poll);
        return;
    }
    afd::Devices::give_back(*socket.poll.device);
    free(&socket);
}

// ---- interest ----

void SocketSet::forget(int fd, FdFacts& facts) {
    if (Socket* socket = find(fd)) drop(*socket);
    facts.registered = 0;
}

SocketSet::Socket* SocketSet::find(int fd) const {
    Socket** place = by_number_.find(static_cast<size_t>(fd));
    return place == nullptr ? nullptr : *place;
}

Errno SocketSet::still(int fd, FdFacts& facts) {
    const Socket* socket = find(fd);
    // The kernel does not report a socket that is closed here and open in another process.
    const bool same =
        socket != nullptr && closes::is_same(*socket->close) && numbers::is_socket(fd);
    if (same) return Errno::ok;
    forget(fd, facts);
    return descriptor::check_open(fd) == Errno::ok ? Errno::no_entry : Errno::bad_descriptor;
}

bool SocketSet::has(Handle handle) const {
    const Socket* socket = find(static_cast<int>(handle.index()));
    return socket != nullptr && socket->handle.bits() == handle.bits() &&
           closes::is_same(*socket->close);
}

void SocketSet::set(Socket& socket, Direction d, Mode mode) {
    if (socket.spent[at(d)]) (void)edges_.remove(socket.fd, d);
    socket.spent[at(d)] = false;
    socket.mode[at(d)] = mode;
    if (mode != Mode::none) list(socket);
}

Errno SocketSet::watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts) {
    if (facts.registered != 0) {
        const Errno error = still(fd, facts);
        if (error != Errno::ok) return error;
    }
    // The core has forgotten a number that was closed.
    if (facts.registered == 0) forget(fd, facts);
    Socket* socket = find(fd);
    for (const Direction d : kBoth) {
        const Mode mode = want[d];
        if (mode == facts.armed[at(d)] && (rearm & bit(d)) == 0) continue;
        if (mode == Mode::none) {
            facts.registered = static_cast<uint8_t>(facts.registered & ~bit(d));
            if (socket != nullptr) set(*socket, d, mode);
        } else {
            if (socket == nullptr) {
                const Result<Socket*> made = make_socket(fd);
                if (!made.ok()) return made.error();
                socket = made.value();
            }
            facts.registered |= bit(d);
            set(*socket, d, mode);
        }
        facts.armed[at(d)] = mode;
        facts.lane[at(d)] = static_cast<uint8_t>(d);
    }
    if (socket == nullptr) return Errno::ok;
    socket->handle = handle;
    if (facts.registered == 0) drop(*socket);
    return Errno::ok;
}

// ---- asking ----

void SocketSet::list(Socket& socket) {
    if (socket.listed) return;
    socket.listed = true;
    socket.next = nullptr;
    socket.previous = last_unarmed_;
    (last_unarmed_ != nullptr ? last_unarmed_->next : first_unarmed_) = &socket;
    last_unarmed_ = &socket;
}

void SocketSet::unlist(Socket& socket) {
    if (!socket.listed) return;
    socket.listed = false;
    (socket.next != nullptr ? socket.next->previous : last_unarmed_) = socket.previous;
    (socket.previous != nullptr ? socket.previous->next : first_unarmed_) = socket.next;
}

bool SocketSet::is_wanted(const Socket& socket, Direction d) {
    return socket.mode[at(d)] != Mode::none && !socket.spent[at(d)];
}

size_t SocketSet::arm_one(Socket& socket, std::span<Wakeup> out) {
    uint32_t wanted = 0;
    for (const Direction d : kBoth)
        if (is_wanted(socket, d)) wanted |= sockets::events_for(d);
    if (wanted == 0) return 0;
    wanted |= afd::kLocalClose;
    if (socket.poll.pending) {
        // Otherwise the poll is answered when something of it is true.
        const uint32_t missing = wanted & ~socket.poll.asked;
        if (missing == 0) return 0;
        afd::cancel(socket.poll);
        return look_for(socket, missing, out);
    }
    if (socket.close->closed.load()) {
        drop(socket);
        return 0;
    }
    const Errno error = afd::submit(socket.poll, socket.base, wanted);
    socket.turn = turn_;
    if (error == Errno::ok)
        outstanding_++;
    else if (error != Errno::bad_descriptor)
        is_refused_ = true;
    return 0;
}

// The next poll can only be made when the packet of the cancelled one has come. But events that are
// true already have to be reported by this call.
size_t SocketSet::look_for(Socket& socket, uint32_t events, std::span<Wakeup> out) {
    if (out.empty() || socket.close->closed.load()) return 0;
    const uint32_t seen = afd::look(socket.base, events).events;
    size_t count = 0;
    for (const Direction d : kBoth)
        if (count < out.size() && report(socket, d, seen & events, out[count])) count++;
    return count;
}

size_t SocketSet::arm(std::span<Wakeup> out) {
    turn_++;
    if (is_refused_) {
        is_refused_ = false;
        by_number_.for_each([this](size_t, Socket*& socket) {
            if (socket != nullptr && !socket->poll.pending) list(*socket);
        });
    }
    if (first_unarmed_ == nullptr) return 0;
    closes::notice();
    size_t count = 0;
    while (first_unarmed_ != nullptr) {
        Socket& socket = *first_unarmed_;
        unlist(socket);
        count += arm_one(socket, out.subspan(count));
    }
    return count;
}

// ---- answers ----

SpentEdges::Look SocketSet::sample(const Socket& socket, Direction d) const {
    if (socket.close->closed.load()) return {kClosed, 0};
    const afd::Look look = afd::look(socket.base, sockets::events_for(d));
    const int64_t amount = d == Direction::read ? sockets::bytes_readable(socket.fd) : 0;
    return {sockets::ready_for(look.events), amount};
}

// A direction that a packet concerns. False: there is nothing to report.
bool SocketSet::report(Socket& socket, Direction d, uint32_t events, Wakeup& out) {
    Mode& mode = socket.mode[at(d)];
    if (!is_wanted(socket, d)) return false;
    uint16_t ready = sockets::ready_for(events & sockets::events_for(d));
    if (ready == 0) return false;
    if (mode == Mode::edge) {
        const SpentEdges::Look seen = sample(socket, d);
        if (seen.ready == 0) return false;  // it is not ready any more
        ready = seen.ready;
        socket.spent[at(d)] = true;
        // After the end nothing can be news.
        const bool ended = (ready & (kHangup | kReadHangup)) != 0 && seen.amount == 0;
        if (!ended) edges_.add(socket.fd, d, socket.handle, seen, now(Clock::monotonic));
    }
    if (mode == Mode::once) mode = Mode::none;
    out = {socket.handle, ready, static_cast<uint8_t>(d)};
    return true;
}

size_t SocketSet::on_packet(void* object, std::span<Wakeup> out) {
    auto& socket = *static_cast<Socket*>(object);
    const bool failed = afd::has_failed(socket.poll) && !socket.poll.cancelling;
    const uint32_t events = afd::events_of(socket.poll);
    outstanding_--;
    if (socket.orphan) {
        afd::Devices::give_back(*socket.poll.device);
        free(&socket);
        return 0;
    }
    if (socket.close->closed.load() || (events & afd::kLocalClose) != 0) {
        out[0] = {socket.handle, kClosed, 0};
        drop(socket);
        return 1;
    }
    // The answer may be old. This call must also report events that have become true since then.
    const bool is_old = socket.turn != turn_;
    size_t count = 0;
    for (const Direction d : kBoth) {
        if (report(socket, d, events, out[count]))
            count++;
        else if (is_old && (events & sockets::events_for(d)) == 0 && is_wanted(socket, d) &&
                 report(socket, d, afd::look(socket.base, sockets::events_for(d)).events,
                        out[count]))
            count++;
    }
    if (socket.poll.cancelling) {
        (void)arm_one(socket, {});
        is_made_anew_ = true;
    } else if (failed) {
        is_refused_ = true;  // if it were asked again at once, it could fail again at once
    } else {
        list(socket);
    }
    return count;
}

bool SocketSet::take_made_anew() {
    return std::exchange(is_made_anew_, false);
}

size_t SocketSet::look_at_edges(std::span<Wakeup> out, Nanos t) {
    if (edges_.empty() || out.empty()) return 0;
    closes::notice();
    const auto socket_of = [this](int fd) -> Socket& { return *find(fd); };
    const auto seen = [&](int fd, Direction d) { return sample(socket_of(fd), d); };
    const auto rearm = [&](int fd, Direction d) {
        socket_of(fd).spent[at(d)] = false;
        list(socket_of(fd));
    };
    const auto gone = [&](int fd, Direction d) { socket_of(fd).spent[at(d)] = false; };
    return edges_.look(t, out, seen, rearm, gone);
}

Nanos SocketSet::next_look() const {
    const Nanos next = edges_.next_look();
    return is_refused_ ? std::min(next, now(Clock::monotonic) + kRetry) : next;
}

}  // namespace kq
