// SPDX-License-Identifier: BSD-2-Clause
// Shared by the tests of Windows: a kqueue that closes itself, pairs of sockets, whether this is
// Wine.
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

// Whether this is Wine. Some tests check less there, or are skipped and say what Wine lacks.
bool is_wine();

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// An edge that stays ready is reported again, first after 250 ms (BUGS.md, W-EDGE). If the machine
// stood still that long, an unexpected event may be such a repeated one.
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
    // Collects the events that are there, or that come within the time.
    std::vector<struct kevent> collect(int most = 16, milliseconds wait = milliseconds(0));
    std::vector<struct kevent> wait(int most = 16) { return collect(most, milliseconds(5000)); }
    // The one event that comes. Fails and returns zeros if there is none, or several.
    struct kevent one();
    void expect_none(milliseconds wait = milliseconds(0));
    // The same two, if the edge of `filter` may be reported again.
    struct kevent one_beside(int filter, SinceEdge& edge);
    void expect_none(milliseconds wait, SinceEdge& edge);

  private:
    int fd_;
};

// A socket that closes itself. It converts to the ident.
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
    // Closes it so that the connection is reset.
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

// A file of the test's own, and its descriptor.
struct File {
    std::string name;
    int fd = -1;
    explicit File(const std::string& content = "");
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File();
    void write(const std::string& text) const;
};

// How many handles this process has.
int handles();

std::string temporary_name(const char* stem);

// A process that runs this program and sleeps (system_test.cc: Process.DISABLED_Sleeps). It ends
// with the object.
class Child {
  public:
    Child();
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    void end(unsigned code) const;
    [[nodiscard]] uintptr_t pid() const { return info_.dwProcessId; }

  private:
    PROCESS_INFORMATION info_{};
    bool started_;
};

}  // namespace kqtest

#endif
