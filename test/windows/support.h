// SPDX-License-Identifier: BSD-2-Clause
// What the tests of Windows share: a kqueue that is closed, sockets in pairs, whether it is Wine.
#ifndef KQ_TEST_WINDOWS_SUPPORT_H
#define KQ_TEST_WINDOWS_SUPPORT_H

#include <sys/event.h>

#include <winsock2.h>
// winsock2.h has to come before windows.h
#include <ws2tcpip.h>

#include <windows.h>

#include <errno.h>
#include <gtest/gtest.h>
#include <io.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace kqtest {

// Wine, where it is not as Windows: the tests skip by this and say what it lacks.
bool is_wine();

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// An edge that stays ready is told again, after 250 ms at first (BUGS.md, W-EDGE). If the machine
// stood still for so long, what a test did not expect may be that.
class SinceEdge {
  public:
    [[nodiscard]] bool is_long() const { return Clock::now() - told_ > milliseconds(200); }
    void told() { told_ = Clock::now(); }

  private:
    Clock::time_point told_ = Clock::now();
};

// A kqueue. Fails the test if it cannot be made.
class Queue {
  public:
    Queue();
    ~Queue() { close(); }
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    [[nodiscard]] int fd() const { return fd_; }
    void close();

    // One change: 0 or the errno.
    int change(uintptr_t ident, int filter, int flags, unsigned fflags = 0, intptr_t data = 0,
               void* udata = nullptr);
    // What is there now; or what comes within the time.
    std::vector<struct kevent> collect(int most = 16, milliseconds wait = milliseconds(0));
    std::vector<struct kevent> wait(int most = 16) { return collect(most, milliseconds(5000)); }
    // The one event that comes; a failure, and zeros, if it is none or several.
    struct kevent one();
    void expect_none(milliseconds wait = milliseconds(0));
    // Likewise, where edges may be told again, of which this is the one of `filter`.
    struct kevent one_beside(int filter, SinceEdge& edge);
    void expect_none(milliseconds wait, SinceEdge& edge);

  private:
    int fd_;
};

// A socket that is closed. Converts to the ident.
class Socket {
  public:
    explicit Socket(SOCKET socket = INVALID_SOCKET) : socket_(socket) {}
    Socket(Socket&& other) noexcept : socket_(other.release()) {}
    Socket& operator=(Socket&& other) noexcept {
        close();
        socket_ = other.release();
        return *this;
    }
    ~Socket() { close(); }
    void close();
    // As a connection is reset.
    void reset();
    SOCKET release();
    [[nodiscard]] SOCKET get() const { return socket_; }
    operator uintptr_t() const { return static_cast<uintptr_t>(socket_); }  // NOLINT

    void send(const std::string& text) const;
    [[nodiscard]] std::string receive(int most = 65536) const;

  private:
    SOCKET socket_;
};

struct Pair {
    Socket a;
    Socket b;
    Pair();  // a TCP connection on this machine
};

// A listener on this machine, and its address.
struct Listener {
    Socket socket;
    sockaddr_in address{};
    explicit Listener(bool listening = true);
    [[nodiscard]] Socket connect() const;
};

Socket udp(sockaddr_in& address);

// The pipe of the C library.
struct Pipe {
    int ends[2] = {-1, -1};
    Pipe();
    ~Pipe();
    void close(int end);
};

// A file of its own, and its descriptor.
struct File {
    std::string name;
    int fd = -1;
    explicit File(const std::string& content = "");
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File();
    void write(const std::string& text) const;
};

std::string temporary_name(const char* stem);

}  // namespace kqtest

#endif
