// SPDX-License-Identifier: BSD-2-Clause
// Shared by the tests of the model.
#ifndef KQ_EVENTPORT_RULES_H
#define KQ_EVENTPORT_RULES_H

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "include/eventport.h"
#include "include/port.h"

namespace rules {

inline constexpr int kLong = 20'000;  // ms: more than any machine needs

// Sets the knobs of the environment and these. Each test starts without these.
inline void knobs(const std::string& more) {
    const char* given = std::getenv("KQ_PORT");
    eventport_knobs((std::string(given != nullptr ? given : "") + "," + more).c_str());
}

inline bool has_pump() {
    const char* given = std::getenv("KQ_PORT");
    return given == nullptr || std::string(given).find("pump=0") == std::string::npos;
}

class Rule : public testing::Test {
  protected:
    void SetUp() override { knobs(""); }
    void TearDown() override { knobs(""); }
};

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) { EXPECT_GE(fd, 0) << strerror(errno); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        close();
        fd_ = std::exchange(other.fd_, -1);
        return *this;
    }
    ~Fd() { close(); }
    int operator*() const { return fd_; }
    void close() {
        if (fd_ < 0) return;
        EXPECT_EQ(::close(std::exchange(fd_, -1)), 0);
    }

  private:
    int fd_ = -1;
};

struct Pipe {
    Pipe() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        read = Fd(ends[0]);
        write = Fd(ends[1]);
    }
    void put() const { EXPECT_EQ(::write(*write, "x", 1), 1); }
    void drain() const {
        char block[256];
        while (::read(*read, block, sizeof block) > 0) {
        }
    }
    Fd read;
    Fd write;
};

struct Got {
    int ret = 0;
    int error = 0;
    uint_t nget = 0;
    std::vector<port_event_t> events;
};

// port_getn() on any descriptor number.
inline Got getn(int port, uint_t nget, uint_t max, int timeout_ms) {
    Got got;
    got.events.resize(max);
    got.nget = nget;
    timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
    got.ret =
        ::port_getn(port, got.events.data(), max, &got.nget, timeout_ms < 0 ? nullptr : &timeout);
    got.error = got.ret == 0 ? 0 : errno;
    const bool told = got.error == 0 || got.error == ETIME;
    got.events.resize(told ? got.nget : 0);
    return got;
}

class Port {
  public:
    Port() : fd_(::port_create()) {}
    int operator*() const { return *fd_; }
    void close() { fd_.close(); }

    std::vector<port_event_t> now() const { return getn(*fd_, 1, 64, 0).events; }
    std::vector<port_event_t> wait() const { return getn(*fd_, 1, 64, kLong).events; }
    uint_t count() const {
        uint_t n = 0;
        EXPECT_EQ(::port_getn(*fd_, nullptr, 0, &n, nullptr), 0);
        return n;
    }
    bool readable(int timeout_ms = 0) const {
        pollfd p{*fd_, POLLIN, 0};
        return ::poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLIN) != 0;
    }
    int watch(int fd, int events, void* user = nullptr) const {
        return ::port_associate(*fd_, PORT_SOURCE_FD, static_cast<uintptr_t>(fd), events, user);
    }
    int unwatch(int fd) const {
        return ::port_dissociate(*fd_, PORT_SOURCE_FD, static_cast<uintptr_t>(fd));
    }
    int send(int events) const { return ::port_send(*fd_, events, nullptr); }

  private:
    Fd fd_;
};

template <class Call>
int errno_of(const Call& call) {
    errno = 0;
    return call() == -1 ? errno : 0;
}
#define EXPECT_ERRNO(wanted, ...) EXPECT_EQ(errno_of([&] { return (__VA_ARGS__); }), wanted)

// A thread that calls port_getn().
class Getter {
  public:
    explicit Getter(int port, uint_t nget = 1, uint_t max = 64, int timeout_ms = kLong)
        : thread_([=, this] {
              tid_ = static_cast<pid_t>(::syscall(SYS_gettid));
              const auto start = std::chrono::steady_clock::now();
              got_ = getn(port, nget, max, timeout_ms);
              const auto took = std::chrono::steady_clock::now() - start;
              EXPECT_LT(took, std::chrono::milliseconds(kLong / 2)) << "it was not woken";
              ended_ = true;
          }) {}
    ~Getter() {
        if (thread_.joinable()) thread_.join();
    }
    const Got& result() {
        if (thread_.joinable()) thread_.join();
        return got_;
    }
    bool ended() const { return ended_; }
    pthread_t handle() { return thread_.native_handle(); }

    // Waits until the thread sleeps in ppoll().
    void wait_until_asleep() const {
        for (int i = 0; i < kLong && !ended_; i++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            if (tid_ == 0) continue;
            std::ifstream file("/proc/self/task/" + std::to_string(tid_) + "/syscall");
            long number = -1;
            if (file >> number && number == SYS_ppoll) return;
        }
        ADD_FAILURE() << "it does not sleep";
    }

  private:
    std::atomic<pid_t> tid_{0};
    std::atomic<bool> ended_{false};
    Got got_;
    std::thread thread_;
};

// Runs `body` in a child of fork(). `body` must return true, and no check in it may fail.
inline void in_child(const std::function<bool()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(body() && !testing::Test::HasFailure() ? 0 : 1);
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0) << "the child failed";
}

inline void* cookie(intptr_t number) {
    return reinterpret_cast<void*>(number);
}

}  // namespace rules

#endif
