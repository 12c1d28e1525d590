// SPDX-License-Identifier: BSD-2-Clause
// The rules of PORT_SOURCE_FD and of descriptors: 11 to 15, 27. For the sources see rules_test.cc.
#include <sys/un.h>

#include "rules.h"

namespace {

using namespace rules;

struct Sockets {
    Sockets() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        a = Fd(ends[0]);
        b = Fd(ends[1]);
    }
    Fd a;
    Fd b;
};

// portfs/port_fd.c port_associate_fd(): port_remove_done_event(), portkev_user.
TEST_F(Rule, P11_AssociatingAgainReplacesAll) {
    const Port port;
    const Sockets sockets;
    ASSERT_EQ(port.watch(*sockets.a, POLLOUT, cookie(1)), 0);
    EXPECT_EQ(port.count(), 1u);
    ASSERT_EQ(port.watch(*sockets.a, POLLIN, cookie(2)), 0);
    EXPECT_EQ(port.count(), 0u) << "the event that was queued is gone";
    ASSERT_EQ(::write(*sockets.b, "x", 1), 1);
    const auto events = port.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_events, POLLIN);
    EXPECT_EQ(events[0].portev_user, cookie(2));
}

// portfs/port_fd.c port_cache_lookup_fp(): descriptor and file.
TEST_F(Rule, P11_AnotherFileOfTheSameNumberIsAnotherAssociation) {
    const Port port;
    Pipe old;
    const int number = *old.read;
    ASSERT_EQ(port.watch(number, POLLIN), 0);
    const Fd copy(::dup(number));
    const Pipe fresh;
    // From here on `number` names another file.
    ASSERT_EQ(::dup3(*fresh.read, number, O_CLOEXEC), number);
    EXPECT_ERRNO(ENOENT, port.unwatch(number));
    ASSERT_EQ(port.watch(number, POLLIN), 0);
    old.put();
    EXPECT_EQ(port.now().size(), 0u);
    fresh.put();
    EXPECT_EQ(port.wait().size(), 1u);
}

TEST_F(Rule, P11_TwoPortsMayWatchOneDescriptor) {
    const Port a;
    const Port b;
    const Pipe pipe;
    ASSERT_EQ(a.watch(*pipe.read, POLLIN), 0);
    ASSERT_EQ(b.watch(*pipe.read, POLLIN), 0);
    pipe.put();
    EXPECT_EQ(a.wait().size(), 1u);
    EXPECT_EQ(b.wait().size(), 1u);
}

// man/port_associate.3c; portfs/port_fd.c: PORT_KEV_VALID.
TEST_F(Rule, P12_AnAssociationReportsOnce) {
    const Port port;
    const Pipe pipe;
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    pipe.put();
    EXPECT_EQ(port.wait().size(), 1u);
    pipe.put();
    EXPECT_EQ(port.now().size(), 0u);
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 1u) << "it was ready when it was associated";
}

TEST_F(Rule, P12_TheEventsAreASnapshot) {
    const Port port;
    const Sockets sockets;
    ASSERT_EQ(port.watch(*sockets.a, POLLIN | POLLOUT), 0);
    ASSERT_EQ(::write(*sockets.b, "x", 1), 1);
    const auto events = port.now();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_events, POLLOUT) << "what was ready when it was queued";
}

TEST_F(Rule, P12_AQueuedEventIsNotLookedAtAgain) {
    const Port port;
    const Pipe pipe;
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    pipe.put();
    EXPECT_EQ(port.count(), 1u);
    pipe.drain();
    const auto events = port.now();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_events, POLLIN);
}

// The real kernel queues an event when it happens. The pump does so, too, if it comes in time.
TEST_F(Rule, P12_WhatWasUndoneIsReportedAllTheSame) {
    const Port port;
    const Pipe pipe;
    bool reported = false;
    for (int i = 1; i < 2000 && !reported; i++) {
        ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
        pipe.put();
        if (has_pump()) std::this_thread::sleep_for(std::chrono::microseconds(i));
        pipe.drain();
        reported = !port.now().empty();
        if (!has_pump() && i == 100) break;
    }
    EXPECT_EQ(reported, has_pump());
}

// portfs/port_fd.c: revents & (pd_events | POLLHUP | POLLERR).
TEST_F(Rule, P12_AnAssociationOfNothingReportsTheEnd) {
    const Port port;
    Pipe pipe;
    ASSERT_EQ(port.watch(*pipe.read, 0), 0);
    pipe.put();
    EXPECT_EQ(port.now().size(), 0u);
    EXPECT_EQ(port.unwatch(*pipe.read), 0);
    ASSERT_EQ(port.watch(*pipe.read, 0), 0);
    pipe.write.close();
    const auto events = port.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_events, POLLHUP);
}

// man/port_associate.3c.
TEST_F(Rule, P13_AnEventNamesItsObjectAndUser) {
    const Port port;
    const Pipe pipe;
    pipe.put();
    ASSERT_EQ(port.watch(*pipe.read, POLLIN, cookie(42)), 0);
    const auto events = port.now();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_source, PORT_SOURCE_FD);
    EXPECT_EQ(events[0].portev_object, static_cast<uintptr_t>(*pipe.read));
    EXPECT_EQ(events[0].portev_user, cookie(42));
}

// man/poll.2: regular files.
TEST_F(Rule, P13_RegularFilesAreAlwaysReady) {
    const Port port;
    Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(port.watch(*file, POLLIN | POLLPRI), 0);
        const auto events = port.now();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].portev_events, POLLIN);
    }
    EXPECT_ERRNO(ENOENT, port.unwatch(*file)) << "it was delivered";
    ASSERT_EQ(port.watch(*file, 0), 0);
    EXPECT_EQ(port.now().size(), 0u);
    EXPECT_EQ(port.unwatch(*file), 0);
}

// portfs/port_fd.c port_dissociate_fd().
TEST_F(Rule, P14_AllAnswersOfDissociate) {
    const Port port;
    const Pipe a;
    const Pipe b;
    EXPECT_ERRNO(ENOENT, port.unwatch(4000)) << "nothing ever was associated";
    ASSERT_EQ(port.watch(*a.read, POLLIN), 0);
    EXPECT_EQ(port.unwatch(*a.read), 0) << "armed";
    EXPECT_ERRNO(ENOENT, port.unwatch(*a.read));
    a.put();
    ASSERT_EQ(port.watch(*a.read, POLLIN), 0);
    EXPECT_EQ(port.unwatch(*a.read), 0) << "queued";
    EXPECT_EQ(port.now().size(), 0u);
    ASSERT_EQ(port.watch(*a.read, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 1u);
    EXPECT_ERRNO(ENOENT, port.unwatch(*a.read)) << "delivered";
    EXPECT_ERRNO(ENOENT, port.unwatch(*b.read)) << "never associated";
    EXPECT_ERRNO(EBADFD, port.unwatch(4000));
    EXPECT_ERRNO(EBADFD, ::port_dissociate(*port, PORT_SOURCE_FD, 1ull << 32));
    EXPECT_ERRNO(EINVAL, ::port_dissociate(*port, PORT_SOURCE_USER, 0));
}

// portfs/port_subr: port_close_fd(), called by os/fio.c closeandsetf().
TEST_F(Rule, P14_CloseEndsAnAssociationAlthoughACopyIsOpen) {
    const Port port;
    Pipe pipe;
    const int number = *pipe.read;
    ASSERT_EQ(port.watch(number, POLLIN), 0);
    const Fd copy(::dup(number));
    pipe.put();
    EXPECT_EQ(port.count(), 1u);
    pipe.read.close();
    EXPECT_EQ(port.count(), 0u);
    EXPECT_FALSE(port.readable());
    EXPECT_ERRNO(EBADFD, port.unwatch(number));
    ASSERT_EQ(::dup2(*copy, number), number);
    EXPECT_ERRNO(ENOENT, port.unwatch(number));
    pipe.put();
    EXPECT_EQ(port.now().size(), 0u);
    EXPECT_EQ(::syscall(SYS_close, number), 0);
}

TEST_F(Rule, P14_SoDoesASystemCall) {
    const Port port;
    const Pipe pipe;
    const int number = ::dup(*pipe.read);
    pipe.put();
    ASSERT_EQ(port.watch(number, POLLIN), 0);
    ASSERT_EQ(::syscall(SYS_close, number), 0);
    EXPECT_EQ(port.count(), 0u);
}

// portfs/port_fd.c port_associate_fd(), portfs/port.c portfs().
TEST_F(Rule, P15_ErrorsOfAssociate) {
    const Port port;
    const Pipe pipe;
    EXPECT_ERRNO(EBADFD, port.watch(4000, POLLIN));
    EXPECT_ERRNO(EBADFD, port.watch(-1, POLLIN));
    EXPECT_ERRNO(EBADFD, ::port_associate(*port, PORT_SOURCE_FD, 1ull << 31, POLLIN, nullptr));
    EXPECT_ERRNO(EINVAL, ::port_associate(*port, PORT_SOURCE_USER, 0, POLLIN, nullptr));
    EXPECT_ERRNO(EINVAL, ::port_associate(*port, PORT_SOURCE_TIMER, 0, POLLIN, nullptr));
    EXPECT_ERRNO(EBADF, ::port_associate(-1, PORT_SOURCE_FD, 0, POLLIN, nullptr));
    EXPECT_ERRNO(EBADFD, ::port_associate(*pipe.read, PORT_SOURCE_FD, 0, POLLIN, nullptr));
    EXPECT_EQ(port.count(), 0u);
}

// portfs/port_vnops.c port_close() with count > 1, portfs/port_fd.c port_close_sourcefd().
TEST_F(Rule, P27_ClosingADuplicateEndsAllAssociations) {
    const Port port;
    const Pipe armed;
    const Pipe queued;
    queued.put();
    ASSERT_EQ(port.watch(*armed.read, POLLIN), 0);
    ASSERT_EQ(port.watch(*queued.read, POLLIN), 0);
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(::close(::dup(*port)), 0);
    EXPECT_ERRNO(ENOENT, port.unwatch(*armed.read));
    const auto events = port.now();
    ASSERT_EQ(events.size(), 1u) << "what was sent stays";
    EXPECT_EQ(events[0].portev_source, PORT_SOURCE_USER);
    armed.put();
    EXPECT_EQ(port.now().size(), 0u);
    ASSERT_EQ(port.watch(*armed.read, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 1u);
}

TEST_F(Rule, P27_TimersFallSilentAndFilesAreForgotten) {
    const Port port;
    port_notify_t notify{*port, nullptr};
    sigevent event{};
    event.sigev_notify = SIGEV_PORT;
    event.sigev_value.sival_ptr = &notify;
    timer_t timer;
    ASSERT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    char name[] = "/tmp";
    file_obj_t file{};
    file.fo_name = name;
    const auto object = reinterpret_cast<uintptr_t>(&file);
    ASSERT_EQ(::port_associate(*port, PORT_SOURCE_FILE, object, FILE_ATTRIB, nullptr), 0);
    ASSERT_EQ(::close(::dup(*port)), 0);
    itimerspec soon{};
    soon.it_value.tv_nsec = 1;
    EXPECT_EQ(::timer_settime(timer, 0, &soon, nullptr), 0);
    EXPECT_EQ(getn(*port, 1, 1, 10).error, ETIME);
    EXPECT_ERRNO(ENOENT, ::port_dissociate(*port, PORT_SOURCE_FILE, object));
    EXPECT_EQ(::timer_delete(timer), 0);
}

// ---- knobs ----

TEST_F(Rule, Knob_SpuriousFifo) {
    knobs("spurious_fifo");
    const Port port;
    const Pipe pipe;
    pipe.put();
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 1u);
    pipe.drain();
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 1u) << "spurious";
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 0u) << "but not twice in a row";
}

TEST_F(Rule, Knob_Stale) {
    knobs("stale=1,seed=7");
    const Port port;
    const Sockets sockets;
    ASSERT_EQ(::write(*sockets.b, "x", 1), 1);
    ASSERT_EQ(port.watch(*sockets.a, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 1u);
    char byte;
    ASSERT_EQ(::read(*sockets.a, &byte, 1), 1);
    ASSERT_EQ(port.watch(*sockets.a, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 1u);
    ASSERT_EQ(::write(*sockets.b, "x", 1), 1);
    EXPECT_EQ(port.now().size(), 0u) << "that event was the one of the association";
    ASSERT_EQ(::read(*sockets.a, &byte, 1), 1);
    ASSERT_EQ(port.watch(*sockets.a, POLLIN), 0);
    EXPECT_EQ(port.now().size(), 0u);
}

TEST_F(Rule, Knob_EintrTakesNothing) {
    knobs("eintr=1,seed=7");
    const Port port;
    ASSERT_EQ(port.send(1), 0);
    EXPECT_EQ(getn(*port, 1, 1, -1).error, EINTR);
    EXPECT_EQ(getn(*port, 1, 1, 1).nget, 1u);
    EXPECT_EQ(port.now().size(), 1u) << "one that does not wait is not interrupted";
}

TEST_F(Rule, Knob_EtimeEvents) {
    knobs("etime_events=1,seed=7");
    const Port port;
    ASSERT_EQ(port.send(1), 0);
    const Got got = getn(*port, 1, 1, kLong);
    EXPECT_EQ(got.error, ETIME);
    EXPECT_EQ(got.events.size(), 1u);
}

TEST_F(Rule, Knob_Short) {
    knobs("short=1");
    const Port port;
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.send(2), 0);
    EXPECT_EQ(port.now().size(), 1u);
    EXPECT_EQ(port.now().size(), 1u);
}

TEST_F(Rule, Knob_RefuseFd) {
    knobs("refuse_fd=fifo");
    const Port port;
    const Pipe pipe;
    const Sockets sockets;
    EXPECT_ERRNO(EBADFD, port.watch(*pipe.read, POLLIN));
    EXPECT_EQ(port.watch(*sockets.a, POLLIN), 0);
}

int open_null() {
    return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// The lowest two free numbers. They need not follow each other: there may be descriptors that were
// open before this program began.
std::pair<int, int> two_free_numbers() {
    const Fd first(open_null());
    const Fd second(open_null());
    return {*first, *second};
}

TEST_F(Rule, Knob_TheModelIsNotInTheWay) {
    for (int i = 0; i < 2; i++) {  // the first port also makes shared descriptors
        const auto [first, second] = two_free_numbers();
        const Port port;
        EXPECT_EQ(*port, first);
        const Fd next(open_null());
        EXPECT_EQ(*next, second) << "a port is one descriptor";
    }
    int hidden = 0;
    for (int fd = 0; fd < 5000; fd++) {
        if (eventport_hidden(fd) == 0) continue;
        hidden++;
        EXPECT_ERRNO(EBADF, ::close(fd));
        EXPECT_GE(fd, 256);
    }
    EXPECT_GT(hidden, 0);
}

}  // namespace
