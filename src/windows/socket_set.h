// SPDX-License-Identifier: BSD-2-Clause
// SocketSet: the sockets that one kqueue watches, each with one poll of AFD for both directions.
//
// Two polls of one socket on one port are mixed up by the system; so what is wanted of it is
// merged. A poll is answered once. What was told by level is asked for again at the next collect();
// of what was told by edge SpentEdges looks when it ends. A poll that asks for too little is
// cancelled, and made anew when its packet has come; one that asks for too much is sifted then.
//
// Whether a number still is the socket that is watched, `closes` says.
// Used by Backend only; the kqueue's mutex.
#ifndef KQ_WINDOWS_SOCKET_SET_H
#define KQ_WINDOWS_SOCKET_SET_H

#include <span>

#include "afd.h"
#include "platform_types.h"
#include "slot_table.h"
#include "spent_edges.h"

namespace kq {

namespace closes {
struct Watch;
}

class SocketSet {
  public:
    SocketSet() = default;
    ~SocketSet() = default;
    SocketSet(const SocketSet&) = delete;
    SocketSet& operator=(const SocketSet&) = delete;

    void open(void* port, uintptr_t key) {
        port_ = port;
        devices_.bind(port, key);
    }

    // Drops all; the port is there still. Once, at the end.
    void close();

    // As Backend::watch() and still(), for numbers that are sockets or are registered as such.
    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts);

    // Asks the kernel for all that is to be asked for.
    void arm();
    [[nodiscard]] bool is_armed() const { return first_unarmed_ == nullptr; }

    // A packet has come. Writes up to two wakeups.
    size_t on_packet(void* object, std::span<Wakeup> out);
    // Edges that were told: writes those that are news.
    size_t look_at_edges(std::span<Wakeup> out, Nanos now);
    // When somebody who sleeps has to go and collect because of these; kForever: never.
    [[nodiscard]] Nanos next_look() const;

  private:
    struct Socket;

    Result<Socket*> make_socket(int fd);
    void drop(Socket& socket);
    void forget(int fd, FdFacts& facts);
    [[nodiscard]] Socket* find(int fd) const;
    void set(Socket& socket, Direction d, Mode mode);
    void list(Socket& socket);
    void unlist(Socket& socket);
    void arm_one(Socket& socket);
    bool report(Socket& socket, Direction d, uint32_t events, Wakeup& out);
    SpentEdges::Look sample(const Socket& socket, Direction d) const;
    void take_the_last();

    void* port_ = nullptr;
    afd::Devices devices_;
    SlotTable<Socket*> by_number_;
    SpentEdges edges_;
    Socket* first_unarmed_ = nullptr;  // in the order in which they were told: all get their turns
    Socket* last_unarmed_ = nullptr;
    size_t outstanding_ = 0;   // polls whose packets were not taken yet
    bool is_refused_ = false;  // the system has refused a poll: to be tried again
};

}  // namespace kq

#endif
