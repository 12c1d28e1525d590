// SPDX-License-Identifier: BSD-2-Clause
// Watched descriptors that go away while their open file lives on.
//
// The kernel keeps the registration of such a file, and the library can no longer remove it by
// number. The registration must never be reported, and must not keep the kqueue awake.
#include <fcntl.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>

#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

// How a file outlives its descriptor.
struct Survivor {
    const char* name;
    // Keeps the file open as long as the result lives.
    std::function<std::shared_ptr<void>(int fd)> keep;
};

std::shared_ptr<void> keep_duplicate(int fd) {
    return std::make_shared<Fd>(::dup(fd));
}

std::shared_ptr<void> keep_in_child(int /*fd*/) {
    return std::make_shared<Child>([] {
        ::pause();
        return 0;
    });
}

// In flight: sent over a socket, and not received yet.
std::shared_ptr<void> keep_in_message(int fd) {
    auto pair = std::make_shared<Pair>(make_socketpair(SOCK_DGRAM));
    send_descriptor(*pair->first, fd);
    return pair;
}

const Survivor kSurvivors[] = {
    {"duplicate", keep_duplicate}, {"forked_child", keep_in_child}, {"message", keep_in_message}};

// Voluntary context switches of the calling thread: how often it went to sleep.
long sleeps() {
    rusage usage{};
    EXPECT_EQ(::getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nvcsw;
}

struct Case {
    Survivor survivor;
    int flags;
    friend std::ostream& operator<<(std::ostream& out, const Case& c) {
        return out << c.survivor.name << " " << c.flags;
    }
};

class Outlived : public KqTest, public testing::WithParamInterface<Case> {
  protected:
    // A pipe whose read end is watched, then closed; its file lives on.
    void make_ghost() {
        pipe = make_pipe();
        number = *pipe.read;
        ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | GetParam().flags)), 0);
        kept = GetParam().survivor.keep(number);
        pipe.read.reset();
    }
    // The kqueue is awake, and works, for what it watches.
    void expect_working() {
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)), 0);
        expect_only(q.wait(), 1, EVFILT_USER, EV_ADD | EV_ONESHOT);
    }
    // A call sleeps, and poll() does not find the queue readable.
    void expect_asleep() {
        const long before = sleeps();
        expect_none(q.collect(16, milliseconds{200}));
        EXPECT_LT(sleeps() - before, 30);
        // If the process did not run in these 200 ms, the call has not yet come to know the ghost.
        if (q.readable()) expect_none(q.collect(16, milliseconds{200}));
        EXPECT_FALSE(q.readable());
    }

    Queue q;
    Pipe pipe;
    int number = -1;
    std::shared_ptr<void> kept;
};

std::vector<Case> cases() {
    std::vector<Case> result;
    for (const Survivor& survivor : kSurvivors)
        for (const int flags : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH})
            result.push_back({survivor, flags});
    return result;
}

std::string name_of(const testing::TestParamInfo<Case>& test) {
    const int flags = test.param.flags;
    const char* mode = flags == EV_CLEAR      ? "_clear"
                       : flags == EV_ONESHOT  ? "_oneshot"
                       : flags == EV_DISPATCH ? "_dispatch"
                                              : "_level";
    return std::string(test.param.survivor.name) + mode;
}

INSTANTIATE_TEST_SUITE_P(Kept, Outlived, testing::ValuesIn(cases()), name_of);

TEST_P(Outlived, R291_TheNumberStaysFree) {
    make_ghost();
    write_bytes(*pipe.write, 1);
    expect_none(q.collect());
    expect_asleep();
    EXPECT_EQ(q.apply(change(number, EVFILT_READ, EV_DELETE)), EBADF);
    expect_working();
}

TEST_P(Outlived, R291_ReadyBeforeItWasClosed) {
    pipe = make_pipe();
    number = *pipe.read;
    ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | GetParam().flags)), 0);
    write_bytes(*pipe.write, 1);
    kept = GetParam().survivor.keep(number);
    pipe.read.reset();
    expect_asleep();
    expect_working();
}

TEST_P(Outlived, R289_TheNumberIsReusedByAFileThatIsNotAdded) {
    make_ghost();
    Pipe other = make_pipe();
    if (*other.read != number) {
        ASSERT_EQ(::dup2(*other.read, number), number);
        other.read.reset(number);
    }
    write_bytes(*pipe.write, 1);
    expect_none(q.collect());
    expect_asleep();
    EXPECT_EQ(q.apply(change(number, EVFILT_READ, EV_DELETE)), ENOENT);
    expect_working();
}

// Both files are ready, but the file that has the number now is not the one that was registered.
TEST_P(Outlived, R292_Dup2OntoTheNumberAndBothFilesAreReady) {
    pipe = make_pipe();
    const Pipe other = make_pipe();
    number = *pipe.read;
    ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | GetParam().flags)), 0);
    kept = GetParam().survivor.keep(number);
    ASSERT_EQ(::dup2(*other.read, number), number);
    ::usleep(200'000);  // L-CLOSE: for some time the number is taken for what was added
    write_bytes(*other.write, 5);
    write_bytes(*pipe.write, 1);
    expect_none(q.collect());
    expect_asleep();
    EXPECT_EQ(q.apply(change(number, EVFILT_READ, EV_DELETE)), ENOENT);
    ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD)), 0);
    expect_only(q.collect(), number, EVFILT_READ, EV_ADD, 0, 5);
}

// This ends after some time, however busy the queue is.
TEST_P(Outlived, R292_AnotherReadyFileIsTakenForItOnlyForAMoment) {
    pipe = make_pipe();
    const Pipe other = make_pipe();
    number = *pipe.read;
    ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | GetParam().flags)), 0);
    kept = GetParam().survivor.keep(number);
    ASSERT_EQ(::dup2(*other.read, number), number);
    write_bytes(*other.write, 5);
    write_bytes(*pipe.write, 1);
    const auto start = now();
    auto last = start;
    while (since(last) < milliseconds{300} && since(start) < time_limit())
        if (!q.collect().empty()) last = now();
    EXPECT_LT(last - start, milliseconds{250});
    expect_asleep();
}

TEST_P(Outlived, R290_TheNumberIsAddedAgain) {
    make_ghost();
    Pipe other = make_pipe();
    if (*other.read != number) {
        ASSERT_EQ(::dup2(*other.read, number), number);
        other.read.reset(number);
    }
    ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    write_bytes(*pipe.write, 1);
    expect_asleep();
    for (int round = 1; round <= 3; round++) {
        write_bytes(*other.write, 1);
        expect_only(q.wait(), number, EVFILT_READ, EV_ADD | EV_CLEAR, 0, round);
        expect_none(q.collect());
    }
    expect_asleep();
    EXPECT_EQ(q.apply(change(number, EVFILT_READ, EV_DELETE)), 0);
}

// The other knotes go on as before: no event is lost, and none is reported twice.
TEST_P(Outlived, R293_TheOtherKnotesDoNotNotice) {
    const Pipe level = make_pipe();
    const Pipe told = make_pipe();    // by edge, and reported already
    const Pipe untold = make_pipe();  // by edge, not yet
    const Pipe armed = make_pipe();   // once
    const Pair both = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q.apply(change(*level.read, EVFILT_READ, EV_ADD),
                      change(*told.read, EVFILT_READ, EV_ADD | EV_CLEAR),
                      change(*untold.read, EVFILT_READ, EV_ADD | EV_CLEAR),
                      change(*armed.read, EVFILT_READ, EV_ADD | EV_DISPATCH),
                      change(*both.first, EVFILT_READ, EV_ADD),
                      change(*both.first, EVFILT_WRITE, EV_ADD | EV_CLEAR),
                      change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1500)),
              0);
    write_bytes(*told.write, 2);
    ASSERT_EQ(q.collect().size(), 2U);  // told, and both.first is writable
    make_ghost();
    write_bytes(*pipe.write, 1);
    expect_none(q.collect(16, milliseconds{100}));
    write_bytes(*untold.write, 1);
    expect_only(q.wait(), *untold.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
    write_bytes(*level.write, 1);
    expect_only(q.wait(), *level.read, EVFILT_READ, EV_ADD, 0, 1);
    expect_only(q.collect(), *level.read, EVFILT_READ, EV_ADD, 0, 1);
    read_bytes(*level.read, 1);
    write_bytes(*armed.write, 1);
    expect_only(q.wait(), *armed.read, EVFILT_READ, EV_ADD | EV_DISPATCH, 0, 1);
    write_bytes(*both.second, 1);
    expect_only(q.wait(), *both.first, EVFILT_READ, EV_ADD, 0, 1);
    read_bytes(*both.first, 1);
    write_bytes(*told.write, 1);
    expect_only(q.wait(), *told.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 3);
    EXPECT_EQ(q.wait().at(0).filter, EVFILT_TIMER);
    expect_asleep();
}

}  // namespace
}  // namespace kqtest
