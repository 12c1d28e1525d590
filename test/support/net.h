// SPDX-License-Identifier: BSD-2-Clause
// Sockets in every state that a test needs, and functions that wait for what the kernel does later.
#ifndef KQTEST_NET_H
#define KQTEST_NET_H

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <functional>
#include <string>

#include "support/kq.h"

#ifndef POLLRDHUP  // the peer ended: elsewhere only POLLIN says it
    #define POLLRDHUP POLLIN
#endif

namespace kqtest {

// ---- sockets ----

Fd tcp_socket();           // not connected, non-blocking
Fd unix_socket(int type);  // not connected, non-blocking

// A TCP port that is ours and answers with RST: it is bound, but no socket listens.
struct DeadPort {
    DeadPort();
    Fd fd;
    sockaddr_in address{};
    void listen() const;  // from now on a socket listens
};

// A UDP socket connected to a port that no socket has.
Fd udp_to_nobody();

// A listening AF_UNIX stream socket in the temporary directory; its name is removed at the end.
// With backlog -1 it only has the name: listen() comes later.
struct UnixListener {
    explicit UnixListener(int backlog = 16);
    UnixListener(UnixListener&&) = delete;
    ~UnixListener();
    Fd fd;
    sockaddr_un address{};
    void listen(int backlog = 16) const;
    Fd connect() const;
    Fd accept() const;
};

// 0 or the errno of connect(); EINPROGRESS is normal for a non-blocking TCP socket.
int connect_to(int fd, const sockaddr_in& address);
int connect_to(int fd, const sockaddr_un& address);

sockaddr_in address_of(int fd);  // its own end

int get_option(int fd, int level, int name);
void set_option(int fd, int level, int name, int value);
int take_error(int fd);                    // SO_ERROR, which Linux clears
void reset_on_close(int fd);               // close() will send RST
void shut(int fd, int how);                // shutdown(), must succeed
ssize_t send_bytes(int fd, size_t count);  // one send(), no SIGPIPE, may be 0 bytes
void send_descriptor(int socket, int fd);  // an empty message that carries fd

// A TCP pair with small buffers of fixed size and small segments: it fills fast, free space is a
// plain sum, and once full nothing more is squeezed in later.
Pair make_small_tcp_pair();

// ---- what the kernel says ----

int bytes_to_read(int fd);  // FIONREAD
int bytes_unsent(int fd);   // SIOCOUTQ: sent, not yet acknowledged or received
int send_buffer(int fd);    // SO_SNDBUF
#ifdef __linux__
// Whether so many connections wait to be accepted. On an emulator that does not say: whether any
// do.
bool has_tcp_connections(int listener, size_t count);
unsigned tcp_state(int fd);  // TCP_ESTABLISHED, ...
// The memory that all waiting datagrams of a UDP socket take. -1: the system does not tell.
int64_t memory_of_datagrams(int fd);
#endif
short look(int fd, short events);  // poll() with timeout 0: revents
bool wait_for(int fd, short events, milliseconds limit = time_limit());  // poll() for one of them

// Waits for what no descriptor reports. Fails the test when time is over.
bool eventually(const std::function<bool()>& condition);

// Fills until it stays full. Over TCP the kernel moves bytes to `peer` and acknowledges them in its
// own time; this returns when the kernel is done with that.
void fill_up(int fd, int peer);

// Empties `peer` until nothing that `fd` sent is still on its way.
void drain_from(int fd, int peer);

// ---- quiet ----

std::chrono::microseconds cpu_time();  // of the whole process, user and system

// kevent() with this timeout sleeps all the time and reports nothing: no event, no busy loop.
void expect_sleeps(const Queue& queue, milliseconds time = milliseconds{200},
                   const char* file = __builtin_FILE(), int line = __builtin_LINE());

// Like expect_event() but data is only bounded.
void expect_between(const std::vector<Event>& events, Ident ident, int filter, int flags,
                    intptr_t low, intptr_t high, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE());

// Waits for a periodic timer that was added, or started again, at `start`. `data` is 1, except if
// the process did not run for so long that more periods have ended.
void expect_expiries(const Queue& queue, Ident ident, int flags, milliseconds period,
                     Clock::time_point start, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE());

// The one event of that filter. If there is none, or several: a failure and an empty event.
Event pick(const std::vector<Event>& events, int filter, const char* file = __builtin_FILE(),
           int line = __builtin_LINE());

// Events of READ and WRITE knotes as text in a fixed order: "READ WRITE", "READ", "".
std::string filters(const std::vector<Event>& events);

}  // namespace kqtest

#endif
