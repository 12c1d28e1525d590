// SPDX-License-Identifier: BSD-2-Clause
// Descriptors for tests: owning classes, pipes, sockets and files, and operations on them.
#ifndef KQTEST_FD_H
#define KQTEST_FD_H

#include <netinet/in.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace kqtest {

using std::chrono::milliseconds;

// How long a test waits for what must happen: far more than any machine needs. Shorter where we
// know that it does not happen: see gaps.h.
milliseconds time_limit();
void set_time_limit(milliseconds limit);
inline constexpr milliseconds kUsualLimit{20'000};

// Owns one descriptor.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        reset(other.release());
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    int get() const { return fd_; }
    int operator*() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1);

  private:
    int fd_ = -1;
};

struct Pipe {
    Fd read;
    Fd write;
};

struct Pair {
    Fd first;
    Fd second;
};

// A TCP socket that listens on a port of the kernel's choice on 127.0.0.1.
struct Listener {
    Fd fd;
    sockaddr_in address{};
    Fd connect() const;  // a new client, connected
    Fd accept() const;   // the server's side of the oldest pending connection
};

// A new file in the temporary directory, empty, open for reading and writing; removed at the end.
struct TempFile {
    explicit TempFile(std::string_view content = {});
    TempFile(TempFile&&) = delete;
    ~TempFile();

    std::string path;
    Fd fd;
};

// Each of these fails the test (and throws nothing) if the system refuses.
Pipe make_pipe();
Pair make_socketpair(int type);  // AF_UNIX: SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
Pair make_tcp_pair();            // first is the client, second the accepted side
Pair make_udp_pair();            // two UDP sockets connected to each other
Listener make_listener(int backlog = 16);
Fd open_file(const std::string& path, int flags);

// close() of a descriptor that another thread is using. That race is what the test is about, so
// ThreadSanitizer does not report it.
int close_in_use(int fd);

void set_nonblock(int fd, bool on = true);

// Writes all of it, or the test fails. write_bytes(fd, 3) writes three bytes.
void write_bytes(int fd, std::string_view bytes);
void write_bytes(int fd, size_t count);

// Reads exactly `count` bytes, or the test fails; blocks until they are there.
std::string read_bytes(int fd, size_t count);

// Writes until the kernel takes no more; returns how many bytes. Does not change the blocking mode.
size_t fill(int fd);

// Reads what there is; returns how many bytes. Does not change the blocking mode.
size_t drain(int fd);

// A free descriptor number, so high that no new descriptor gets it soon.
int free_number();

// The number that the next new descriptor will have.
int lowest_free_number();

// Waits with poll() for POLLIN. A limit of 0 only looks.
bool wait_readable(int fd, milliseconds limit = time_limit());

}  // namespace kqtest

#endif
