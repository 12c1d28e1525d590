// SPDX-License-Identifier: BSD-2-Clause
// A program closes all descriptors that it does not know, as daemons do. With them it closes
// descriptors of the library, and then the program opens files that get these numbers. The library
// must close none of these files (semantics 1.6).
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/timerfd.h>
#endif

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "support/kq.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

constexpr int kFirst = 3;
constexpr int kEnd = 80;

// The kind of file that the program opens afterwards. open() returns the number.
struct File {
    const char* name;
    int (*open)();
};

int open_null() {
    return ::open("/dev/null", O_RDWR | O_CLOEXEC);
}
// Either end is what the program has; the other end is closed with it.
int open_pipe() {
    int ends[2];
    return ::pipe(ends) == 0 ? ends[0] : -1;
}
int open_socket() {
    return ::socket(AF_UNIX, SOCK_STREAM, 0);
}
#ifdef __linux__
int open_eventfd() {
    return ::eventfd(0, EFD_CLOEXEC);
}
int open_timer() {
    return ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
}
int open_epoll() {
    return ::epoll_create1(EPOLL_CLOEXEC);
}
#endif

// Makes the library open all that it opens for a kqueue.
void use_everything(const Queue& q) {
    const TempFile file("abc");
    const Pair pair = make_socketpair(SOCK_STREAM);
    Sleeper sleeper;
    block(SIGUSR1);
    const Event changes[] = {
        change(1, EVFILT_USER, EV_ADD | EV_CLEAR),
        change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1),
        change(3, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_ABSOLUTE, 1),
        change(4, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0x80, 1),  // on a clock of its own
        change(*pair.first, EVFILT_READ, EV_ADD),
        change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR),
        change(*pair.second, EVFILT_EXCEPT, EV_ADD, NOTE_OOB),
        change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE),
        signals::add(SIGUSR1),
        change(sleeper.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT),
        change(::getpid(), EVFILT_PROC, EV_ADD, NOTE_FORK),
        change(0, EVFILT_FS, EV_ADD),
    };
    for (const Event& each : changes)
        (void)q.apply(each);  // some backends do not have some filters
    (void)q.collect(16);
}

struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    mode_t mode = 0;
    bool operator==(const Identity&) const = default;
};

Identity identity_of(int fd) {
    struct stat st {};
    if (::fstat(fd, &st) != 0) return {};
    return {st.st_dev, st.st_ino, st.st_mode};
}

// The files of the program, one for each number.
class Files {
  public:
    explicit Files(const File& file) {
        for (int number = kFirst; number < kEnd; number++)
            ::close(number);
        while (lowest_free_number() < kEnd)
            EXPECT_GE(file.open(), 0);
        for (int number = kFirst; number < kEnd; number++)
            files_.push_back(identity_of(number));
    }
    // How many numbers are closed, or name another file.
    [[nodiscard]] int lost() const {
        int count = 0;
        for (int number = kFirst; number < kEnd; number++)
            if (identity_of(number) != files_[static_cast<size_t>(number - kFirst)]) count++;
        return count;
    }

  private:
    std::vector<Identity> files_;
};

void in_child(const std::function<void()>& body) {
    Child child([&] {
        body();
        return testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

class LostNumbers : public KqTest, public testing::WithParamInterface<File> {};

TEST_P(LostNumbers, A_AForkedChildKeepsTheFilesOfTheProgram) {
    in_child([] {
        const Queue q;
        use_everything(q);
        const Files files(GetParam());
        Sleeper child([&] { return files.lost(); });
        child.go();
        EXPECT_EQ(child.reap(), 0) << "they were closed, each counts 256";
        EXPECT_EQ(files.lost(), 0);
    });
}

TEST_P(LostNumbers, A_TheEndOfALostKqueueClosesNoneOfThem) {
    in_child([] {
        const Queue q;
        use_everything(q);
        const int number = q.fd();
        const Files files(GetParam());
        const Event event = change(1, EVFILT_USER, EV_ADD);
        Event none;
        const int answer = ::kevent(number, nullptr, 0, &none, 1, &kAtOnce);
        // 0: an epoll set of the program that has nothing to tell (L-KQ-CLOSED).
        const bool epoll = std::string(GetParam().name) == "Epoll";
        EXPECT_TRUE((answer == -1 && errno == EBADF) || (epoll && answer == 0)) << answer;
        EXPECT_EQ(files.lost(), 0);
        // The library destroys what it had of the old kqueue when it learns that the number is a
        // new one.
        const Fd next(::kqueue());
        EXPECT_EQ(::dup2(*next, number), number);
        EXPECT_EQ(::kevent(number, &event, 1, nullptr, 0, nullptr), 0);
        ::close(number);
        const Fd again(::kqueue());
        EXPECT_EQ(*again, number);
        EXPECT_EQ(::kevent(*again, &event, 1, nullptr, 0, nullptr), 0);
        EXPECT_LE(files.lost(), 1) << "besides the number that was taken on purpose";
    });
}

// The same with two kqueues of which the second gets the numbers of the first's helpers.
TEST_P(LostNumbers, A_TheNextKqueueKeepsItsOwn) {
    in_child([] {
        const Queue first;
        use_everything(first);
        for (int number = kFirst; number < kEnd; number++)
            ::close(number);
        for (int i = 0; i < 8; i++)
            EXPECT_GE(GetParam().open(), 0);
        const Queue second;
        use_everything(second);
        const Queue third;
        use_everything(third);
        ASSERT_EQ(second.apply(change(9, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1)), 0);
        bool fired = false;
        while (!fired) {
            const std::vector<Event> events = second.wait();
            ASSERT_FALSE(events.empty());
            for (const Event& event : events)
                fired = fired || (event.ident == 9 && event.filter == EVFILT_TIMER);
        }
    });
}

constexpr File kFiles[] = {
    {"File", open_null},       {"Pipe", open_pipe},   {"Socket", open_socket},
#ifdef __linux__
    {"Eventfd", open_eventfd}, {"Timer", open_timer}, {"Epoll", open_epoll},
#endif
};

INSTANTIATE_TEST_SUITE_P(Of, LostNumbers, testing::ValuesIn(kFiles),
                         [](const auto& file) { return std::string(file.param.name); });

}  // namespace
}  // namespace kqtest
