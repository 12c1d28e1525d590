// SPDX-License-Identifier: BSD-2-Clause
// The three ways to wait that are compared, with one interface each, so that a workload is written
// once: KqQueue (kevent()), RawQueue (epoll, and nothing that kevent() would do beyond it) and
// FairQueue (RawQueue plus the calls that an event's `data` obliges any kqueue to make).
//
// All is inline: what is compared is the library and the kernel, not these classes. Thread rule:
// that of the descriptor inside; the classes hold no other state.
#ifndef KQBENCH_QUEUES_H
#define KQBENCH_QUEUES_H

#include <linux/sock_diag.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <type_traits>
#include <utility>

#include "bench.h"

namespace kqbench {

enum class Mode {
    level,
    edge,
    dispatch,  // off after each report, until rearm()
};

inline constexpr int kForever = -1;  // a timeout in milliseconds

// Owns the descriptor.
class QueueDescriptor {
  public:
    explicit QueueDescriptor(int fd) : fd_(fd) { must(fd >= 0, "queue"); }
    QueueDescriptor(QueueDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ~QueueDescriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int fd() const { return fd_; }

  private:
    int fd_;
};

class KqQueue : public QueueDescriptor {
  public:
    template <int N>
    using Events = struct kevent[N];

    KqQueue() : QueueDescriptor(::kqueue()) {}

    // One change in a call of its own.
    void change(uintptr_t ident, int filter, int flags, unsigned fflags = 0, intptr_t data = 0) {
        struct kevent change;
        EV_SET(&change, ident, filter, flags, fflags, data, nullptr);
        must(::kevent(fd(), &change, 1, nullptr, 0, nullptr) == 0, "kevent, a change");
    }

    void watch_read(int target, Mode mode = Mode::level) {
        change(target, EVFILT_READ, EV_ADD | flags_of(mode));
    }
    void watch_write(int target) { change(target, EVFILT_WRITE, EV_ADD); }
    void forget_read(int target) { change(target, EVFILT_READ, EV_DELETE); }
    void rearm(int target) { change(target, EVFILT_READ, EV_ENABLE | EV_DISPATCH); }
    // For one event; the knote is gone then.
    void watch_once(int target) { change(target, EVFILT_READ, EV_ADD | EV_ONESHOT); }
    // `data` of READ and WRITE is not wanted.
    void count_nothing() {
        struct kevent setting;
        EV_SET(&setting, 0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_COUNT_DATA, 0, nullptr);
        must(::kevent(fd(), &setting, 1, &setting, 1, nullptr) == 1, "NOTE_COUNT_DATA");
    }

    template <int N>
    int wait(Events<N>& events, int timeout = kForever) {
        const timespec limit{timeout / 1000, timeout % 1000 * 1'000'000L};
        const int n = ::kevent(fd(), nullptr, 0, events, N, timeout == kForever ? nullptr : &limit);
        must(n >= 0, "kevent");
        return n;
    }

    // The descriptor that can be read or written, of which the event says how much.
    static int readable(const struct kevent& event) { return checked(event); }
    static int writable(const struct kevent& event) { return checked(event); }

  private:
    static int flags_of(Mode mode) {
        if (mode == Mode::edge) return EV_CLEAR;
        return mode == Mode::dispatch ? EV_DISPATCH : 0;
    }
    static int checked(const struct kevent& event) {
        must(event.data >= 1, "an event without data");
        return static_cast<int>(event.ident);
    }
};

class RawQueue : public QueueDescriptor {
  public:
    template <int N>
    using Events = epoll_event[N];

    RawQueue() : QueueDescriptor(::epoll_create1(EPOLL_CLOEXEC)) {}

    void control(int operation, int target, uint32_t interest) {
        epoll_event event{};
        event.events = interest;
        event.data.fd = target;
        must(::epoll_ctl(fd(), operation, target, &event) == 0, "epoll_ctl");
    }

    void watch_read(int target, Mode mode = Mode::level) {
        control(EPOLL_CTL_ADD, target, EPOLLIN | flags_of(mode));
    }
    void watch_write(int target) { control(EPOLL_CTL_ADD, target, EPOLLOUT); }
    void forget_read(int target) { control(EPOLL_CTL_DEL, target, 0); }
    void rearm(int target) { control(EPOLL_CTL_MOD, target, EPOLLIN | EPOLLONESHOT); }
    void watch_once(int target) { rearm(target); }
    static void count_nothing() {}

    template <int N>
    int wait(Events<N>& events, int timeout = kForever) {
        const int n = ::epoll_wait(fd(), events, N, timeout);
        must(n >= 0, "epoll_wait");
        return n;
    }

    static int readable(const epoll_event& event) { return event.data.fd; }
    static int writable(const epoll_event& event) { return event.data.fd; }

  private:
    static uint32_t flags_of(Mode mode) {
        if (mode == Mode::edge) return uint32_t{EPOLLET};
        return mode == Mode::dispatch ? uint32_t{EPOLLONESHOT} : 0;
    }
};

class FairQueue : public RawQueue {
  public:
    // How much there is to read.
    static int readable(const epoll_event& event) {
        int bytes = 0;
        must(::ioctl(event.data.fd, FIONREAD, &bytes) == 0 && bytes >= 1, "FIONREAD");
        return event.data.fd;
    }
    // How much room there is, and whether the writing side was shut: epoll says EPOLLOUT for that
    // too, and only an attempt to send nothing tells it on an AF_UNIX stream.
    static int writable(const epoll_event& event) {
        const int fd = event.data.fd;
        uint32_t info[SK_MEMINFO_VARS];
        socklen_t size = sizeof info;
        must(::send(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0, "send");
        must(::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0, "SO_MEMINFO");
        return fd;
    }
};

// Which queue a workload is to use: given to it as a value, to choose its instance.
template <class Q>
using Use = std::type_identity<Q>;

template <class Q>
inline constexpr bool kIsKq = std::is_same_v<Q, KqQueue>;

inline void put_byte(int fd) {
    must(::write(fd, "x", 1) == 1, "write");
}
inline void take_byte(int fd) {
    char byte;
    must(::read(fd, &byte, 1) == 1, "read");
}

}  // namespace kqbench

#endif
