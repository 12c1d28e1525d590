// SPDX-License-Identifier: BSD-2-Clause
// SocketSet: the sockets that one kqueue watches, each with one poll of AFD for both directions.
//
// The system mixes up two polls of one socket on one port, so the wishes of both directions are
// merged. A poll is answered once. A level that was reported is asked for again at the next
// collect(). SpentEdges looks for the end of an edge that was reported. A poll that asks for too
// little is cancelled, and made anew when its packet has come. If a poll asks for too much, the
// rest is ignored when its packet comes.
//
// `closes` finds out whether a number still is the socket that is watched. Used by Backend only;
// the kqueue's mutex.
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

    void open(void* port, uintptr_t key) { devices_.bind(port, key); }

    // Drops all sockets. Once, at the end. The packets of outstanding polls must be taken until
    // is_quiet().
    void close();
    // Whether the system has no poll of this set any more.
    [[nodiscard]] bool is_quiet() const { return outstanding_ == 0; }

    // As Backend::watch() and still(), for numbers that are sockets or are registered as such.
    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts);

    // Whether a wakeup of this handle is still of the socket that it was.
    [[nodiscard]] bool has(Handle handle) const;

    // Makes all polls that have to be made. If a poll has to be made anew, but cannot be made yet,
    // looks at the socket, and writes wakeups for events that are true.
    size_t arm(std::span<Wakeup> out);
    [[nodiscard]] bool is_armed() const { return first_unarmed_ == nullptr; }

    // A packet has come. Writes up to two wakeups.
    size_t on_packet(void* object, std::span<Wakeup> out);
    // Whether a poll that was cancelled has been made anew by on_packet() since the last call of
    // this. It may be answered already.
    bool take_made_anew();
    // Looks at edges that were reported, and writes those that are news.
    size_t look_at_edges(std::span<Wakeup> out, Nanos now);
    // When a sleeping thread has to wake and collect because of these edges; kForever: never.
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
    static bool is_wanted(const Socket& socket, Direction d);
    size_t arm_one(Socket& socket, std::span<Wakeup> out);
    size_t look_for(Socket& socket, uint32_t events, std::span<Wakeup> out);
    bool report(Socket& socket, Direction d, uint32_t events, Wakeup& out);
    SpentEdges::Look sample(const Socket& socket, Direction d) const;

    afd::Devices devices_;
    SlotTable<Socket*> by_number_;
    SpentEdges edges_;
    Socket* first_unarmed_ = nullptr;  // in the order of their reports, so that each has its turn
    Socket* last_unarmed_ = nullptr;
    size_t outstanding_ = 0;  // polls whose packets were not taken yet
    uint32_t turn_ = 0;       // how often arm() was called
    bool is_made_anew_ = false;
    bool is_refused_ = false;  // the system has refused a poll, which is to be tried again
};

}  // namespace kq

#endif
