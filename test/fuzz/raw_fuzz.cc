// SPDX-License-Identifier: BSD-2-Clause
// libFuzzer: the bytes are calls of kevent() and kevent64(), with any arguments that a program may
// pass by mistake. Between the calls the descriptors are closed, reused and used. Some things are
// left out, because they would disturb the fuzzer itself: other descriptors, its signals, sleeping,
// invalid pointers.
//
// The checks: the result is within its bounds, nothing is written behind it, errno has a valid
// value, no descriptor is left. The sanitizers check the rest.
#include <fcntl.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace {

constexpr int kFirst = 200;  // the first of the descriptors that a run uses
constexpr int kSlots = 8;
constexpr int kQueues = 2;
constexpr int kRoom = 6;
constexpr unsigned char kCanary = 0xa5;

void require(bool condition, const char* what) {
    if (condition) return;
    (void)fprintf(stderr, "broken: %s (errno %d)\n", what, errno);
    abort();
}

// The bytes, read as numbers. It gives zeros when all bytes are used.
class Bytes {
  public:
    Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
    [[nodiscard]] bool over() const { return size_ == 0; }
    unsigned pick(unsigned n) { return number<uint8_t>() % n; }
    template <class T>
    T number() {
        T value = 0;
        const size_t taken = std::min(size_, sizeof value);
        if (taken == 0) return value;
        memcpy(&value, data_, taken);
        data_ += taken;
        size_ -= taken;
        return value;
    }

  private:
    const uint8_t* data_;
    size_t size_;
};

class Run {
  public:
    explicit Run(Bytes bytes) : bytes_(bytes) {
        for (int& queue : queues_)
            queue = kqueue();
    }
    ~Run() {
        for (const int queue : queues_)
            (void)close(queue);
        for (int slot = 0; slot < kSlots; slot++)
            (void)close(kFirst + slot);
        libkqueue_drain_pending_close();
    }
    Run(const Run&) = delete;

    void play() {
        constexpr int kMost = 64;
        for (int i = 0; i < kMost && !bytes_.over(); i++)
            step();
    }

  private:
    int slot() { return kFirst + static_cast<int>(bytes_.pick(kSlots)); }
    int queue() {
        constexpr int kOther[] = {-1, INT_MAX, INT_MIN, kFirst, 0, 9999};
        const unsigned which = bytes_.pick(16);
        if (which == 0) return kOther[bytes_.pick(std::size(kOther))];
        return queues_[which % kQueues];
    }

    void step() {
        switch (bytes_.pick(16)) {
            case 0:
                open(slot(), slot());
                break;
            case 1:
                (void)close(slot());
                break;
            case 2: {
                const int from = slot();
                const int to = slot();
                (void)dup2(from, to);
                break;
            }
            case 3:
                (void)!write(slot(), "abc", 1 + bytes_.pick(3));
                break;
            case 4: {
                char content[64];
                (void)!read(slot(), content, 1 + bytes_.pick(64));
                break;
            }
            case 5:
                beside();
                break;
            case 6:
            case 7:
            case 8:
                call_wide();
                break;
            default:
                call();
        }
    }

    void beside() {
        switch (bytes_.pick(5)) {
            case 0:
                (void)raise(SIGWINCH);
                break;
            case 1:
                (void)lseek(slot(), bytes_.pick(8), SEEK_SET);
                break;
            case 2:
                (void)ftruncate(slot(), bytes_.pick(8));
                break;
            case 3:
                (void)shutdown(slot(), SHUT_WR);
                break;
            default: {
                int& queue = queues_[bytes_.pick(kQueues)];
                (void)close(queue);
                queue = kqueue();
            }
        }
    }

    void open(int a, int b) {
        int ends[2] = {-1, -1};
        switch (bytes_.pick(4)) {
            case 0:
                (void)pipe2(ends, O_NONBLOCK | O_CLOEXEC);
                break;
            case 1:
                (void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
                break;
            case 2:
                (void)socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
                break;
            default:
                ends[0] = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
                ends[1] = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        }
        const int to[2] = {a, b};
        for (int i = 0; i < 2; i++) {
            if (ends[i] < 0) continue;
            (void)dup2(ends[i], to[i]);
            (void)close(ends[i]);
        }
    }

    // ---- changes ----

    uint64_t descriptor() {
        constexpr uint64_t kNone[] = {UINT64_MAX, INT_MAX,   uint64_t{INT_MAX} + 1, 4000, 1u << 20,
                                      1ull << 32, 1ull << 63};
        switch (bytes_.pick(8)) {
            case 0:
                return kNone[bytes_.pick(std::size(kNone))];
            case 1:
                return static_cast<uint64_t>(queues_[bytes_.pick(kQueues)]);
            default:
                return static_cast<uint64_t>(slot());
        }
    }

    // The fuzzer needs some signals itself, so only these are used.
    uint64_t signal() {
        constexpr uint64_t kSignals[] = {SIGWINCH, SIGURG, SIGCONT,    0,         SIGKILL,
                                         SIGSTOP,  65,     UINT64_MAX, SIGRTMAX_, 1ull << 32};
        return kSignals[bytes_.pick(std::size(kSignals))];
    }
    static constexpr uint64_t SIGRTMAX_ = 64;

    uint64_t process() {
        const uint64_t processes[] = {
            static_cast<uint64_t>(getpid()), 1, 0, INT_MAX, 1ull << 32, UINT64_MAX};
        return processes[bytes_.pick(std::size(processes))];
    }

    uint64_t ident(int filter) {
        switch (filter) {
            case EVFILT_READ:
            case EVFILT_WRITE:
            case EVFILT_VNODE:
                return descriptor();
            case EVFILT_SIGNAL:
                return signal();
            case EVFILT_PROC:
                return process();
            default:
                return bytes_.pick(2) == 0 ? bytes_.pick(4) : bytes_.number<uint64_t>();
        }
    }

    struct kevent64_s change() {
        struct kevent64_s kev {};
        kev.filter = static_cast<int16_t>(-static_cast<int>(1 + bytes_.pick(12)));
        if (bytes_.pick(32) == 0) kev.filter = bytes_.number<int16_t>();
        kev.ident = ident(kev.filter);
        kev.flags = bytes_.pick(4) == 0 ? bytes_.number<uint16_t>()
                                        : static_cast<uint16_t>(EV_ADD | (bytes_.pick(8) << 4));
        constexpr uint32_t kUseful[] = {0, 1, 2, 4, 8, NOTE_TRIGGER, NOTE_EXIT, 0xfff};
        kev.fflags = bytes_.pick(3) == 0 ? bytes_.number<uint32_t>() : kUseful[bytes_.pick(8)];
        kev.data = bytes_.pick(2) == 0 ? bytes_.pick(8) : bytes_.number<int64_t>();
        kev.udata = bytes_.pick(4) == 0 ? bytes_.number<uint64_t>() : 0;
        if (bytes_.pick(8) == 0) kev.ext[0] = bytes_.number<uint64_t>();
        // The library would call the address that it is given, or write to stderr.
        const bool tracing = kev.fflags >= NOTE_DEBUG && kev.fflags <= NOTE_DEBUG_FUNC;
        if (kev.filter == EVFILT_LIBKQUEUE && tracing) kev.fflags = NOTE_VERSION;
        return kev;
    }

    // Counts may be negative. A timeout is over at once, or is invalid.
    int count(int most) {
        const unsigned n = bytes_.pick(32);
        return n == 0 ? -1 : n == 1 ? INT_MIN : static_cast<int>(n) % (most + 1);
    }
    timespec timeout() {
        constexpr timespec kTimes[] = {{0, -1}, {-1, 0}, {0, 1'000'000'000}, {0, LONG_MAX}};
        const unsigned n = bytes_.pick(32);
        return n < std::size(kTimes) ? kTimes[n] : timespec{0, 0};
    }

    // ---- calls ----

    template <class Entry>
    static void check(const Entry (&events)[kRoom + 1], int result, int room) {
        require(result >= -1 && result <= std::max(room, 0), "the result");
        const auto* end = reinterpret_cast<const unsigned char*>(std::end(events));
        const Entry* rest = events + (result < 0 ? std::max(room, 0) : result);
        for (const auto* at = reinterpret_cast<const unsigned char*>(rest); at != end; at++)
            require(*at == kCanary, "what is beyond the result");
        for (int i = 0; i < result; i++) {
            if ((events[i].flags & EV_ERROR) == 0) continue;
            require(events[i].data >= 0 && events[i].data <= 133, "the errno of an entry");
        }
        if (result < 0) require(errno > 0 && errno <= 133, "errno");
    }

    void call() {
        struct kevent changes[kRoom];
        struct kevent events[kRoom + 1];
        const int nchanges = count(kRoom);
        const int nevents = count(kRoom);
        for (int i = 0; i < nchanges; i++) {
            const struct kevent64_s wide = change();
            EV_SET(&changes[i], wide.ident, wide.filter, wide.flags, wide.fflags, wide.data,
                   reinterpret_cast<void*>(wide.udata));
        }
        memset(events, kCanary, sizeof events);
        const timespec at_most = timeout();
        const int number = queue();
        check(events, kevent(number, changes, nchanges, events, nevents, &at_most), nevents);
    }

    void call_wide() {
        struct kevent64_s changes[kRoom];
        struct kevent64_s events[kRoom + 1];
        const int nchanges = count(kRoom);
        const int nevents = count(kRoom);
        for (int i = 0; i < nchanges; i++)
            changes[i] = change();
        memset(events, kCanary, sizeof events);
        const timespec at_most = timeout();
        const unsigned flags = bytes_.pick(8) == 0 ? bytes_.number<uint32_t>() : bytes_.pick(4);
        const int number = queue();
        check(events, kevent64(number, changes, nchanges, events, nevents, flags, &at_most),
              nevents);
    }

    Bytes bytes_;
    int queues_[kQueues] = {-1, -1};
};

int lowest_free() {
    const int fd = dup(STDIN_FILENO);
    (void)close(fd);
    return fd;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    (void)::signal(SIGPIPE, SIG_IGN);
    const Run makes_what_the_library_keeps(Bytes(nullptr, 0));
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const int before = lowest_free();
    Run(Bytes(data, size)).play();
    require(lowest_free() == before, "descriptors are left");
    return 0;
}
