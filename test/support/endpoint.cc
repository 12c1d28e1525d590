// SPDX-License-Identifier: BSD-2-Clause
#include "support/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
    #include <sys/eventfd.h>
    #include <sys/inotify.h>
    #include <sys/timerfd.h>
#endif

#include <type_traits>

#include "support/gaps.h"
#include "support/net.h"

namespace kqtest {
namespace {

void must(bool good, const char* what) {
    if (!good) ADD_FAILURE() << what << ": " << ::strerror(errno);
}

// ---- to read from ----

// Three bytes at a time; what is written to one descriptor arrives at the watched one.
class Bytes : public ReadEnd {
  public:
    // What `data` says of several messages: their sum, the first one, or the memory they take. The
    // memory is that of all messages since there was none.
    enum Counting { kAll, kFirst, kMemory };

    Bytes(Fd watched, Fd writer, Counting counting = kAll)
        : watched_(std::move(watched)), writer_(std::move(writer)), counting_(counting) {}

    int fd() const override { return *watched_; }
    void feed() override {
        const int before = bytes_to_read(fd());
        const int64_t memory = taken();
        write_bytes(*writer_, "ab\n");
        wait_readable(fd());
        if (counting_ == kAll) eventually([&] { return bytes_to_read(fd()) > before; });
        if (memory >= 0) eventually([&] { return taken() > memory; });
        crowded_ = crowded_ || (counting_ == kMemory && before > 0);
    }
    void take() override { read_bytes(fd(), 3); }
    void drain() override {
        kqtest::drain(fd());
        crowded_ = false;
    }
    intptr_t data(int units) const override { return counting_ == kFirst ? 3 : 3 * units; }
    bool may_be_more() const override { return crowded_; }

  private:
    int64_t taken() const {
#ifdef __linux__
        if (counting_ != kAll) return memory_of_datagrams(fd());
#endif
        return -1;
    }

    Fd watched_;
    Fd writer_;
    Counting counting_;
    bool crowded_ = false;
};

std::unique_ptr<ReadEnd> of_pair(Pair pair, Bytes::Counting counting = Bytes::kAll) {
    return std::make_unique<Bytes>(std::move(pair.first), std::move(pair.second), counting);
}

Bytes::Counting udp_counting() {
    return on_linux() ? Bytes::kMemory : Bytes::kFirst;
}

std::unique_ptr<ReadEnd> of_pipe(Pipe pipe) {
    return std::make_unique<Bytes>(std::move(pipe.read), std::move(pipe.write));
}

std::unique_ptr<ReadEnd> of_slave() {
    Terminal t(false);
    return std::make_unique<Bytes>(std::move(t.slave), std::move(t.master));
}

std::unique_ptr<ReadEnd> of_master() {
    Terminal t(true);
    return std::make_unique<Bytes>(std::move(t.master), std::move(t.slave));
}

// A unit is a connection that waits to be accepted.
template <class L>
class Connections : public ReadEnd {
  public:
    int fd() const override { return *listener_.fd; }
    void feed() override {
        clients_.push_back(listener_.connect());
        wait_readable(fd());
        if constexpr (kTcp) settle(clients_.size());
    }
    void take() override {
        listener_.accept();
        clients_.erase(clients_.begin());
    }
    void drain() override {
        while (!clients_.empty())
            take();
    }
    intptr_t data(int units) const override { return units; }

  private:
    static constexpr bool kTcp = std::is_same_v<L, Listener>;

    static L make() {
        if constexpr (kTcp)
            return make_listener();
        else
            return L();
    }

    // The client's side may be connected a moment before the listener's side is.
    void settle([[maybe_unused]] size_t expected) {
#ifdef __linux__
        eventually([&] { return has_tcp_connections(fd(), expected); });
#endif
    }

    L listener_ = make();
    std::vector<Fd> clients_;
};

// A unit is three bytes that are appended by another descriptor of the file.
class File : public ReadEnd {
  public:
    File() { write_bytes(*writer_, 5), File::drain(); }
    int fd() const override { return *file_.fd; }
    void feed() override { write_bytes(*writer_, 3); }
    void take() override { must(::lseek(fd(), 3, SEEK_CUR) >= 0, "lseek"); }
    void drain() override { must(::lseek(fd(), 0, SEEK_END) >= 0, "lseek"); }
    intptr_t data(int units) const override { return 3 * units; }

  private:
    TempFile file_;
    Fd writer_ = open_file(file_.path, O_WRONLY | O_APPEND);
};

// A unit is an event of another kqueue.
class Events : public ReadEnd {
  public:
    int fd() const override { return inner_.fd(); }
    void feed() override {
        const int ident = next_++;
        const int error = inner_.apply(change(ident, EVFILT_USER, EV_ADD | EV_ONESHOT),
                                       change(ident, EVFILT_USER, 0, NOTE_TRIGGER));
        EXPECT_EQ(error, 0);
    }
    void take() override { EXPECT_EQ(inner_.collect(1).size(), 1u); }
    void drain() override {
        while (!inner_.collect().empty()) {
        }
    }
    intptr_t data(int units) const override { return units; }

  private:
    Queue inner_;
    int next_ = 1;
};

#ifdef __linux__
class Counter : public ReadEnd {
  public:
    int fd() const override { return *fd_; }
    void feed() override { must(::eventfd_write(fd(), 1) == 0, "eventfd_write"); }
    void take() override {
        eventfd_t one = 0;
        must(::eventfd_read(fd(), &one) == 0, "eventfd_read");
    }
    void drain() override { kqtest::drain(fd()); }
    intptr_t data(int units) const override { return units; }

  private:
    Fd fd_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE)};
};

// A unit is an expiration.
class Clockwork : public ReadEnd {
  public:
    int fd() const override { return *fd_; }
    void feed() override {
        const itimerspec soon{{0, 0}, {0, 1}};
        must(::timerfd_settime(fd(), 0, &soon, nullptr) == 0, "timerfd_settime");
        wait_readable(fd());
    }
    void take() override {}
    void drain() override { kqtest::drain(fd()); }
    intptr_t data(int) const override { return kAnyData; }

  private:
    Fd fd_{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
};

// A unit is one change of a file. The kernel merges equal ones, so they alternate.
class FileChanges : public ReadEnd {
  public:
    FileChanges() {
        must(::inotify_add_watch(*fd_, file_.path.c_str(), IN_MODIFY | IN_ATTRIB) >= 0,
             "inotify_add_watch");
    }
    int fd() const override { return *fd_; }
    void feed() override {
        if (turn_ = !turn_; turn_)
            write_bytes(*file_.fd, 1);
        else
            must(::fchmod(*file_.fd, 0600) == 0, "fchmod");
    }
    void take() override {}
    void drain() override { kqtest::drain(fd()); }
    intptr_t data(int) const override { return kAnyData; }

  private:
    TempFile file_;
    Fd fd_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    bool turn_ = false;
};
#endif

template <class R>
std::unique_ptr<ReadEnd> plain() {
    return std::make_unique<R>();
}

// ---- to write to ----

// Written bytes arrive at a descriptor that only the test reads.
class Stream : public WriteEnd {
  public:
    Stream(Fd watched, Fd reader) : watched_(std::move(watched)), reader_(std::move(reader)) {}
    int fd() const override { return *watched_; }

  protected:
    int reader() const { return *reader_; }

  private:
    Fd watched_;
    Fd reader_;
};

class Socket : public Stream {
  public:
    explicit Socket(Pair pair) : Stream(std::move(pair.first), std::move(pair.second)) {}
    void block() override { fill_up(fd(), reader()); }
    void unblock() override { drain_from(fd(), reader()); }
    intptr_t most() const override { return send_buffer(fd()); }
};

class PipeEnd : public Stream {
  public:
    explicit PipeEnd(Pipe pipe) : Stream(std::move(pipe.write), std::move(pipe.read)) {}
    void block() override { fill(fd()); }
    void unblock() override { drain(reader()); }
#ifdef F_GETPIPE_SZ
    intptr_t least() const override {
        return ::fcntl(fd(), F_GETPIPE_SZ);
    }
    intptr_t most() const override {
        return ::fcntl(fd(), F_GETPIPE_SZ);
    }
#endif
};

class Tty : public Stream {
  public:
    explicit Tty(Terminal t) : Stream(std::move(t.slave), std::move(t.master)) {}
};

// Always writable, and data is 0.
class Device : public WriteEnd {
  public:
    explicit Device(const char* path) : fd_(open_file(path, O_RDWR)) {}
    int fd() const override { return *fd_; }
    intptr_t least() const override { return 0; }
    intptr_t most() const override { return 0; }

  private:
    Fd fd_;
};

class RegularFile : public WriteEnd {
  public:
    int fd() const override { return *file_.fd; }
    intptr_t least() const override { return 0; }
    intptr_t most() const override { return 0; }

  private:
    TempFile file_;
};

#ifdef __linux__
class CounterRoom : public WriteEnd {
  public:
    int fd() const override { return *fd_; }
    void block() override { must(::eventfd_write(fd(), UINT64_MAX - 1) == 0, "eventfd_write"); }
    void unblock() override { drain(fd()); }

  private:
    Fd fd_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
};
#endif

template <class W, class... Args>
std::unique_ptr<WriteEnd> to(Args... args) {
    return std::make_unique<W>(std::move(args)...);
}

}  // namespace

std::vector<ReadEndKind> read_ends() {
    return {
        {"tcp", [] { return of_pair(make_tcp_pair()); }, true},
        {"udp", [] { return of_pair(make_udp_pair(), udp_counting()); }, true},
        {"unix_stream", [] { return of_pair(make_socketpair(SOCK_STREAM)); }, true},
        {"unix_dgram", [] { return of_pair(make_socketpair(SOCK_DGRAM), Bytes::kFirst); }, true},
        {"unix_seqpacket", [] { return of_pair(make_socketpair(SOCK_SEQPACKET)); }, true},
        {"tcp_listener", plain<Connections<Listener>>, true},
        {"unix_listener", plain<Connections<UnixListener>>, true},
        {"pipe", [] { return of_pipe(make_pipe()); }, true},
        {"fifo", [] { return of_pipe(make_fifo()); }, true},
        {"tty", of_slave, true},
        {"pty_master", of_master, true},
        {"file", plain<File>, false},  // BSD re-evaluates at every lseek()
        {"kqueue", plain<Events>, true},
#ifdef __linux__
        {"eventfd", plain<Counter>, true},
        {"timerfd", plain<Clockwork>, false},
        {"inotify", plain<FileChanges>, false},
#endif
    };
}

std::vector<WriteEndKind> write_ends() {
    return {
        {"tcp", [] { return to<Socket>(make_small_tcp_pair()); }, true},
        {"udp", [] { return to<Socket>(make_udp_pair()); }, false},
        {"unix_stream", [] { return to<Socket>(make_socketpair(SOCK_STREAM)); }, true},
        {"unix_dgram", [] { return to<Socket>(make_socketpair(SOCK_DGRAM)); }, true},
        {"unix_seqpacket", [] { return to<Socket>(make_socketpair(SOCK_SEQPACKET)); }, true},
        {"pipe", [] { return to<PipeEnd>(make_pipe()); }, true},
        {"fifo", [] { return to<PipeEnd>(make_fifo()); }, true},
        {"tty", [] { return to<Tty>(Terminal(true)); }, false},
        {"file", [] { return to<RegularFile>(); }, false},
        {"dev_null", [] { return to<Device>("/dev/null"); }, false},
#ifdef __linux__
        {"eventfd", [] { return to<CounterRoom>(); }, true},
#endif
    };
}

void Duplex::feed() const {
    const int before = datagrams_ ? 0 : bytes_to_read(fd());
    write_bytes(peer(), 3);
    wait_readable(fd());
    if (!datagrams_) eventually([&] { return bytes_to_read(fd()) > before; });
}

void Duplex::drain() const {
    kqtest::drain(fd());
}

void Duplex::block() const {
    fill_up(fd(), peer());
}

void Duplex::unblock() const {
    drain_from(fd(), peer());
}

std::vector<DuplexKind> duplex_kinds() {
    std::vector<DuplexKind> kinds = stream_kinds();
    kinds.push_back({"unix_dgram", [] { return Duplex(make_socketpair(SOCK_DGRAM), true); }});
    return kinds;
}

std::vector<DuplexKind> stream_kinds() {
    return {
        {"tcp", [] { return Duplex(make_small_tcp_pair(), false); }},
        {"unix_stream", [] { return Duplex(make_socketpair(SOCK_STREAM), false); }},
        {"unix_seqpacket", [] { return Duplex(make_socketpair(SOCK_SEQPACKET), false); }},
    };
}

}  // namespace kqtest
