// SPDX-License-Identifier: BSD-2-Clause
// How much of the caller's stack a call takes: 8 KiB at most (semantics 1.6). Threads with
// the smallest stack and coroutines can make such a call.
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
    #include <sys/eventfd.h>
#endif

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "support/kq.h"
#include "support/library.h"
#include "support/limit.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/stack_meter.h"
#include "support/thread.h"

namespace kqtest {
namespace {

void nothing() {}

void use_user_and_timers(Meter& m, int kq) {
    m.use("USER", kq, change(1, EVFILT_USER, EV_ADD | EV_CLEAR),
          [&] { m.apply("NOTE_TRIGGER", kq, change(1, EVFILT_USER, 0, NOTE_TRIGGER)); });
    m.use("TIMER", kq, change(1, EVFILT_TIMER, EV_ADD, 0, 1), nothing);
    m.use("TIMER of the other clock", kq, change(1, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, 1),
          [&] { m.apply("TIMER", kq, change(1, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, 1)); });
    m.collect("nothing", kq);
    m.collect("nothing comes", kq, timespec{0, 1'000'000});
}

void use_descriptor(Meter& m, int kq, const char* what, int in, int out) {
    for (const int flags : {0, EV_CLEAR, EV_DISPATCH, EV_ONESHOT}) {
        m.apply(what, kq, change(in, EVFILT_READ, EV_ADD | flags));
        m.apply(what, kq, change(out, EVFILT_WRITE, EV_ADD | EV_CLEAR));
        m.collect(what, kq);
        m.apply(what, kq, change(out, EVFILT_WRITE, EV_ADD, NOTE_LOWAT, 1));
        m.apply(what, kq, change(in, EVFILT_READ, EV_ADD | EV_RECEIPT, NOTE_LOWAT, 1));
        m.collect(what, kq);
        m.apply(what, kq, change(in, EVFILT_READ, EV_DISABLE));
        m.apply(what, kq, change(in, EVFILT_READ, EV_ENABLE));
        m.collect(what, kq);
        m.apply(what, kq, change(in, EVFILT_READ, EV_DELETE));
        m.apply(what, kq, change(out, EVFILT_WRITE, EV_DELETE));
    }
}

void use_descriptors(Meter& m, int kq) {
    const Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 3);
    use_descriptor(m, kq, "a pipe", *pipe.read, *pipe.write);
    for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
        const Pair pair = make_socketpair(type);
        write_bytes(*pair.second, 3);
        use_descriptor(m, kq, "a socket", *pair.first, *pair.first);
    }
    Pair tcp = make_tcp_pair();
    write_bytes(*tcp.second, 3);
    use_descriptor(m, kq, "TCP", *tcp.first, *tcp.first);
    const linger now_or_never{1, 0};
    ::setsockopt(*tcp.second, SOL_SOCKET, SO_LINGER, &now_or_never, sizeof now_or_never);
    tcp.second.reset();
    use_descriptor(m, kq, "a connection that was reset", *tcp.first, *tcp.first);
    const Pair udp = make_udp_pair();
    write_bytes(*udp.second, 3);
    use_descriptor(m, kq, "UDP", *udp.first, *udp.first);
    const Listener listener = make_listener();
    const Fd client = listener.connect();
    m.use("a listener", kq, change(*listener.fd, EVFILT_READ, EV_ADD), nothing);
    const Fd local(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const TempFile name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (name.path + "s").c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(*local, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(*local, 8), 0);
    const Fd caller(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(*caller, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    m.use("a local listener", kq, change(*local, EVFILT_READ, EV_ADD), nothing);
    ::unlink(address.sun_path);
    const TempFile file("abc");
    m.use("a file", kq, change(*file.fd, EVFILT_READ, EV_ADD), nothing);
    const Fd null = open_file("/dev/null", O_RDWR);
    use_descriptor(m, kq, "a device", *null, *null);
    const Fd counter(::eventfd(5, EFD_CLOEXEC));
    use_descriptor(m, kq, "an eventfd", *counter, *counter);
}

constexpr unsigned kFileNotes =
    NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME;

// Its name is as long as names are.
void use_files(Meter& m, int kq) {
    char base[] = "/tmp/kqstack.XXXXXX";
    ASSERT_NE(::mkdtemp(base), nullptr);
    std::vector<std::string> directories{base};
    for (int i = 0; i < 8; i++) {
        directories.push_back(directories.back() + "/" + std::string(200, 'd'));
        ASSERT_EQ(::mkdir(directories.back().c_str(), 0700), 0);
    }
    const std::string path = directories.back() + "/" + std::string(200, 'a');
    const std::string other = directories.back() + "/" + std::string(200, 'b');
    const Fd file = open_file(path, O_RDWR | O_CREAT);
    m.use("VNODE", kq, change(*file, EVFILT_VNODE, EV_ADD | EV_CLEAR, kFileNotes), [&] {
        for (int i = 0; i < 200; i++) {
            write_bytes(*file, 1);
            ::fchmod(*file, i % 2 == 0 ? 0600 : 0644);
        }
        ::rename(path.c_str(), other.c_str());
        ::rename(other.c_str(), path.c_str());
        ::rename(path.c_str(), other.c_str());
        ::rename(other.c_str(), path.c_str());
    });
    const Fd directory = open_file(directories.back(), O_RDONLY | O_DIRECTORY);
    m.use("VNODE of a directory", kq,
          change(*directory, EVFILT_VNODE, EV_ADD | EV_CLEAR, kFileNotes), [&] {
              for (int i = 0; i < 100; i++) {
                  const std::string entry = other + std::to_string(i);
                  open_file(entry, O_RDWR | O_CREAT);
                  ::rename(entry.c_str(), other.c_str());
                  ::unlink(other.c_str());
              }
          });
    m.apply("VNODE", kq, change(*file, EVFILT_VNODE, EV_ADD | EV_CLEAR, kFileNotes));
    m.apply("VNODE", kq, change(*directory, EVFILT_VNODE, EV_ADD | EV_CLEAR, kFileNotes));
    ::unlink(path.c_str());
    for (size_t i = directories.size(); i-- > 0;)
        ::rmdir(directories[i].c_str());
    m.expect_event("VNODE of what is removed", kq);
    m.collect("VNODE of what is removed", kq);
}

// Takes those that are left pending, as a program does that blocks them: the kernel drops a signal
// that is pending already.
void take_pending(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    const timespec at_once{};
    while (sigtimedwait(&set, nullptr, &at_once) == number) {
    }
}

void use_signals(Meter& m, int kq) {
    m.use("SIGNAL", kq, signals::add(SIGUSR1), [] { send(SIGUSR1); });
    m.use("SIGNAL that is blocked", kq, signals::add(SIGUSR2), [] {
        take_pending(SIGUSR2);
        send(SIGUSR2);
    });
    take_pending(SIGUSR2);
}

int forks() {
    for (int i = 0; i < 100; i++) {
        const pid_t pid = ::fork();
        if (pid == 0) ::_exit(5);
        ::waitpid(pid, nullptr, 0);
    }
    return 0;
}

void use_processes(Meter& m, int kq) {
    Sleeper child;
    m.apply("PROC", kq, change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT));
    m.apply("PROC", kq, change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT | NOTE_EXITSTATUS));
    child.go_and_exit();
    m.expect_event("PROC", kq);
    Stranger stranger;
    m.apply("PROC of a stranger", kq, change(stranger.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT));
    stranger.go();
    stranger.wait_until_exited();
    m.collect("PROC of a stranger", kq, timespec{0, 1'000'000});
    stranger.reap();
    m.collect("PROC of a stranger", kq, to_timespec(milliseconds{500}));
    Sleeper parent(forks);
    const unsigned all = NOTE_EXIT | NOTE_FORK | NOTE_EXEC | NOTE_TRACK;
    const Event track = change(parent.pid(), EVFILT_PROC, EV_ADD, all);
    if (m.call("NOTE_TRACK", [&] { return ::kevent(kq, &track, 1, nullptr, 0, nullptr); }) != 0)
        return;
    parent.go_and_exit();
    m.expect_event("NOTE_TRACK", kq);
    while (m.collect("NOTE_TRACK", kq, to_timespec(milliseconds{50})) > 0) {
    }
}

// A kqueue that has everything, watched by another one.
void use_kqueues(Meter& m, int kq) {
    const Fd inner(m.queue("kqueue()"));
    m.apply("a kqueue", kq, change(*inner, EVFILT_READ, EV_ADD));
    const TempFile file("abc");
    const Pair pair = make_socketpair(SOCK_STREAM);
    m.apply("VNODE", *inner, change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, kFileNotes));
    m.apply("READ", *inner, change(*pair.first, EVFILT_READ, EV_ADD));
    m.apply("WRITE", *inner, change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR));
    m.apply("TIMER", *inner, change(1, EVFILT_TIMER, EV_ADD, 0, 1));
    m.apply("SIGNAL", *inner, signals::add(SIGUSR1));
    write_bytes(*file.fd, "more");
    write_bytes(*pair.second, 1);
    send(SIGUSR1);
    m.expect_event("a kqueue", kq);
    m.expect_event("a kqueue", *inner);
    Event change = kqtest::change(*inner, EVFILT_READ, EV_DELETE);
    m.apply("a kqueue", kq, change);
    m.apply("SIGNAL", *inner, signals::remove(SIGUSR1));
    // Another number of it.
    const Fd other(::fcntl(*inner, F_DUPFD_CLOEXEC, 200));
    m.expect_event("a duplicate", *other);
}

// One in another in another.
void use_a_chain(Meter& m) {
    std::vector<Fd> queues;
    queues.emplace_back(m.queue("kqueue()"));
    m.apply("USER", *queues[0], change(1, EVFILT_USER, EV_ADD));
    for (size_t i = 1; i < 4; i++) {
        queues.emplace_back(m.queue("kqueue()"));
        m.apply("a chain", *queues[i], change(*queues[i - 1], EVFILT_READ, EV_ADD));
    }
    m.collect("a chain", *queues.back(), timespec{0, 1'000'000});
    m.apply("NOTE_TRIGGER", *queues[0], change(1, EVFILT_USER, 0, NOTE_TRIGGER));
    m.expect_event("a chain", *queues.back());
}

// Where poll() is refused.
void use_no_descriptors(Meter& m, int kq) {
    if (!on_linux()) return;  // poll() is refused there
    const Pipe pipe = make_pipe();
    m.apply("READ", kq, change(*pipe.read, EVFILT_READ, EV_ADD));
    m.apply("WRITE", kq, change(*pipe.write, EVFILT_WRITE, EV_ADD));
    const DescriptorLimit none(0);
    m.collect("at a limit of 0", kq, timespec{0, 1'000'000});
    write_bytes(*pipe.write, 1);
    m.expect_event("at a limit of 0", kq);
}

// A file that outlives its number.
void be_haunted(Meter& m) {
    const Fd kq(m.queue("kqueue()"));
    for (int round = 0; round < 3; round++) {
        Pair pair = make_socketpair(SOCK_STREAM);
        const Pair alive = make_socketpair(SOCK_STREAM);
        const Fd other(::fcntl(*pair.first, F_DUPFD_CLOEXEC, 200));
        m.apply("READ", *kq, change(*pair.first, EVFILT_READ, EV_ADD));
        m.apply("READ", *kq, change(*alive.first, EVFILT_READ, EV_ADD | EV_CLEAR));
        m.apply("WRITE", *kq, change(*alive.first, EVFILT_WRITE, EV_ADD));
        pair.first.reset();
        write_bytes(*pair.second, 1);
        for (int i = 0; i < 20; i++)
            m.collect("a ghost", *kq);
    }
}

void use_many(Meter& m) {
    const Fd kq(m.queue("kqueue()"));
    const Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 1);
    std::vector<Fd> numbers;
    for (int i = 0; i < 300; i++) {
        numbers.emplace_back(::fcntl(*pipe.read, F_DUPFD_CLOEXEC, 3));
        m.apply("READ", *kq, change(*numbers.back(), EVFILT_READ, EV_ADD));
    }
    EXPECT_EQ(m.collect("many", *kq, kAtOnce, 300), 300);
#ifdef LIBKQUEUE_HAS_KEVENT64
    std::vector<struct kevent64_s> wide(300);
    const int n = m.call(
        "kevent64()", [&] { return ::kevent64(*kq, nullptr, 0, wide.data(), 300, 0, &kAtOnce); });
    EXPECT_EQ(n, 300);
    struct kevent64_s add;
    EV_SET64(&add, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER, 0, 3, 4, 5);
    const int done =
        m.call("kevent64()", [&] { return ::kevent64(*kq, &add, 1, nullptr, 0, 0, &kAtOnce); });
    EXPECT_EQ(done, 0);
    EXPECT_GT(m.call("kevent64()",
                     [&] { return ::kevent64(*kq, nullptr, 0, wide.data(), 300, 0, &kAtOnce); }),
              0);
#endif
}

// Refusals, some of them with a line on stderr.
void be_refused(Meter& m, int kq) {
    for (int filter = -20; filter <= 20; filter++) {
        Event change = kqtest::change(-1, filter, EV_ADD, ~0u, -1);
        m.call("nonsense", [&] { return ::kevent(kq, &change, 1, nullptr, 0, nullptr); });
        Event answer;
        m.call("nonsense", [&] { return ::kevent(kq, &change, 1, &answer, 1, &kAtOnce); });
    }
    m.call("no kqueue", [] { return ::kevent(-1, nullptr, 0, nullptr, 0, &kAtOnce); });
    m.call("no kqueue", [] { return ::kevent(0, nullptr, 0, nullptr, 0, &kAtOnce); });
}

void use_everything(Meter& m) {
    Event event;
    m.call("a drain", [] { return libkqueue_drain_pending_close(), 0; });
    for (int round = 0; round < 2; round++) {  // the first time, and without closing by hand
        const Fd kq(m.queue("kqueue()"));
        use_user_and_timers(m, *kq);
        use_descriptors(m, *kq);
        use_files(m, *kq);
        use_signals(m, *kq);
        use_processes(m, *kq);
        use_kqueues(m, *kq);
        use_a_chain(m);
        use_no_descriptors(m, *kq);
        be_refused(m, *kq);
        be_haunted(m);
        use_many(m);
        const TempFile file;
        m.apply("VNODE", *kq, change(*file.fd, EVFILT_VNODE, EV_ADD, kFileNotes));
        m.apply("TIMER", *kq, change(1, EVFILT_TIMER, EV_ADD, 0, 1));
        m.apply("PROC", *kq, change(::getppid(), EVFILT_PROC, EV_ADD, NOTE_EXIT));
        m.apply("SIGNAL", *kq, signals::add(SIGUSR1));
        ::close(*kq);
        m.call("a call that finds it closed",
               [&] { return ::kevent(*kq, nullptr, 0, &event, 1, &kAtOnce); });
        const Fd again(m.queue("kqueue() that finds one closed"));
    }
}

void set_debug(bool on) {
    const Event change = kqtest::change(0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_DEBUG, on ? 1 : 0);
    const Queue q;
    Event answer;
    EXPECT_GE(::kevent(q.fd(), &change, 1, &answer, 1, &kAtOnce), 0);
}

// While it exists, what is written to stderr goes to /dev/null.
class Silence {
  public:
    Silence() : stderr_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100)) {
        const Fd null = open_file("/dev/null", O_WRONLY);
        ::dup2(*null, STDERR_FILENO);
    }
    Silence(const Silence&) = delete;
    ~Silence() { ::dup2(*stderr_, STDERR_FILENO); }

  private:
    Fd stderr_;
};

class Stack : public SignalTest {
  protected:
    void SetUp() override {
        if (kInstrumented) GTEST_SKIP() << "not the frames of a library as it is used";
        if (on_model()) GTEST_SKIP() << "nor is the model of event ports one";
    }
};

constexpr milliseconds kSlow{60'000};  // most of it is the processor's time

// Before there is a second thread.
void prepare_signals() {
    // One that is still on its way when its knote is deleted is not to end the process.
    set_disposition(SIGUSR1, SIG_IGN);
    block(SIGUSR2);
}

void measure(bool debug) {
    Child child([debug] {
        const Silence silence;
        prepare_signals();
        on_own_stack(kStack, [debug] {
            Meter meter(true);
            set_debug(debug);
            use_everything(meter);
            set_debug(false);
            meter.report();
        });
        return testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_EQ(child.wait(kSlow), 0);
}

TEST_F(Stack, A_EightKibibytesForAnyCall) {
    measure(false);
}

TEST_F(Stack, A_EightKibibytesWithTracing) {
    measure(true);
}

#ifdef NDEBUG
TEST_F(Stack, A_TheSmallestStackOfAThreadIsEnough) {
    Child child([] {
        const Silence silence;
        prepare_signals();
        // Its lowest page is the guard.
        on_own_stack(static_cast<size_t>(PTHREAD_STACK_MIN) + 4096, [] {
            Meter meter(false);
            set_debug(true);
            use_everything(meter);
            set_debug(false);
        });
        return testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_EQ(child.wait(kSlow), 0);
}
#endif

// The library's handler runs on the stack of the thread that gets the signal.
TEST_F(Stack, A_AHandlerTakesLittleMoreThanTheProgramsOwn) {
    on_own_stack(kStack, [] {
        const auto raised = [] { return cost_of([] { ::raise(SIGUSR1); }); };
        set_disposition(SIGUSR1, count_signal);
        (void)raised();
        const size_t before = raised();
        const Queue q;
        ASSERT_EQ(q.apply(signals::add(SIGUSR1)), 0);
        EXPECT_LE(raised(), before + 2048);
        EXPECT_EQ(q.wait().size(), 1u);
    });
}

}  // namespace
}  // namespace kqtest
