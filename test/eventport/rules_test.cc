// SPDX-License-Identifier: BSD-2-Clause
// The rules of queues, PORT_SOURCE_USER and PORT_SOURCE_ALERT: 1 to 3, 16, 17, 28.
// Sources are paths in illumos-gate: man = usr/src/man/man3c, portfs =
// usr/src/uts/common/fs/portfs, os = usr/src/uts/common/os, libc = usr/src/lib/libc/port/gen.
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "rules.h"

namespace {

using namespace rules;

// man/port_create.3c; portfs/port.c port_send_event(): to the end of one list.
TEST_F(Rule, P01_FirstInFirstOutOverAllSources) {
    const Port port;
    const Pipe pipe;
    pipe.put();
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    ASSERT_EQ(port.send(2), 0);
    const auto events = port.now();
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[0].portev_events, 1);
    EXPECT_EQ(events[1].portev_source, PORT_SOURCE_FD);
    EXPECT_EQ(events[2].portev_events, 2);
}

// portfs/port.c port_send_event(): PORT_KEV_DONEQ.
TEST_F(Rule, P01_AnAssociationIsNeverQueuedTwice) {
    const Port port;
    const Pipe pipe;
    pipe.put();
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    pipe.put();
    EXPECT_EQ(port.count(), 1u);
    EXPECT_EQ(port.now().size(), 1u);
    EXPECT_EQ(port.now().size(), 0u);
}

// portfs/port_vnops.c port_poll().
TEST_F(Rule, P02_IsReadableWhileEventsAreQueued) {
    const Port port;
    EXPECT_FALSE(port.readable());
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.send(2), 0);
    EXPECT_TRUE(port.readable());
    EXPECT_EQ(getn(*port, 1, 1, 0).events.size(), 1u);
    EXPECT_TRUE(port.readable());
    EXPECT_EQ(port.now().size(), 1u);
    EXPECT_FALSE(port.readable());
}

TEST_F(Rule, P02_IsReadableWhenASourceIs) {
    const Port port;
    const Pipe pipe;
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    EXPECT_FALSE(port.readable());
    pipe.put();
    EXPECT_TRUE(port.readable(kLong));
    EXPECT_EQ(port.now().size(), 1u);
    EXPECT_FALSE(port.readable());
}

TEST_F(Rule, P02_APortWatchesAnother) {
    const Port outer;
    const Port inner;
    ASSERT_EQ(outer.watch(*inner, POLLIN), 0);
    EXPECT_FALSE(outer.readable());
    ASSERT_EQ(inner.send(1), 0);
    EXPECT_TRUE(outer.readable(kLong));
    const auto events = outer.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_object, static_cast<uintptr_t>(*inner));
    EXPECT_EQ(events[0].portev_events, POLLIN);
}

// os/fio.c closeandsetf(), portfs/port_vnops.c port_close(): getters leave, then close() returns.
TEST_F(Rule, P02_CloseWakesGettersWithEBADF) {
    Port port;
    Getter one(*port);
    Getter other(*port, 5);
    one.wait_until_asleep();
    other.wait_until_asleep();
    port.close();
    EXPECT_EQ(one.result().error, EBADF);
    EXPECT_EQ(other.result().error, EBADF);
}

TEST_F(Rule, P02_CloseOfADuplicateWakesThoseThatUseIt) {
    const Port port;
    Fd copy(::dup(*port));
    Getter at_port(*port);
    Getter at_copy(*copy);
    at_port.wait_until_asleep();
    at_copy.wait_until_asleep();
    copy.close();
    EXPECT_EQ(at_copy.result().error, EBADF);
    EXPECT_FALSE(at_port.ended());
    ASSERT_EQ(port.send(1), 0);
    EXPECT_EQ(at_port.result().events.size(), 1u);
}

TEST_F(Rule, P02_DuplicatesShareTheQueueUntilTheLastIsClosed) {
    Port port;
    const Fd copy(::dup(*port));
    const Fd another(::fcntl(*copy, F_DUPFD_CLOEXEC, 100));
    ASSERT_EQ(port.send(7), 0);
    port.close();
    const Got got = getn(*another, 1, 1, 0);
    ASSERT_EQ(got.events.size(), 1u);
    EXPECT_EQ(got.events[0].portev_events, 7);
    EXPECT_EQ(::port_send(*copy, 8, nullptr), 0);
}

TEST_F(Rule, P02_Dup2ClosesAPort) {
    Port port;
    Getter getter(*port);
    getter.wait_until_asleep();
    const Pipe pipe;
    ASSERT_EQ(::dup2(*pipe.read, *port), *port);
    EXPECT_EQ(getter.result().error, EBADF);
    EXPECT_ERRNO(EBADFD, ::port_send(*port, 1, nullptr));
}

// man/port_create.3c: the descriptor survives exec unless its owner sets FD_CLOEXEC.
TEST_F(Rule, P02_IsInheritedByExec) {
    const Port port;
    EXPECT_EQ(::fcntl(*port, F_GETFD), 0);
}

TEST_F(Rule, P02_CloseRangeClosesPortsAndKeepsTheModel) {
    const Port kept;
    const Pipe pipe;
    int last = -1;
    {
        const Fd base(::fcntl(0, F_DUPFD_CLOEXEC, 200));
        last = *base;
    }
    const int port = ::fcntl(::port_create(), F_DUPFD_CLOEXEC, last);
    ASSERT_EQ(::port_send(port, 1, nullptr), 0);
    ASSERT_EQ(::close_range(static_cast<unsigned>(last), ~0u, 0), 0);
    EXPECT_ERRNO(EBADF, ::port_send(port, 1, nullptr));
    ASSERT_EQ(kept.watch(*pipe.read, POLLIN), 0);
    pipe.put();
    EXPECT_EQ(kept.wait().size(), 1u);
    EXPECT_EQ(kept.send(1), 0);
    EXPECT_TRUE(kept.readable());
    EXPECT_EQ(::close(last - 1), -1);
}

// man/port_associate.3c, port_send.3c: EAGAIN; portfs/port_subr (os/port_subr.c) port_alloc_event.
TEST_F(Rule, P03_AssociationsAndQueuedEventsAreLimited) {
    knobs("max_events=3");
    const Port port;
    const Pipe a;
    const Pipe b;
    ASSERT_EQ(port.watch(*a.read, POLLIN), 0);
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.send(2), 0);
    EXPECT_ERRNO(EAGAIN, port.send(3));
    EXPECT_ERRNO(EAGAIN, port.watch(*b.read, POLLIN));
    EXPECT_EQ(port.watch(*a.read, POLLIN), 0) << "a change needs no slot";
    EXPECT_EQ(port.now().size(), 2u);
    EXPECT_EQ(port.watch(*b.read, POLLIN), 0);
    EXPECT_EQ(port.send(3), 0);
    EXPECT_ERRNO(EAGAIN, port.send(4));
    EXPECT_EQ(port.unwatch(*a.read), 0);
    EXPECT_EQ(port.send(4), 0);
}

int port_of_handler;

// man/port_send.3c; portfs/port.c port_send(), port_sendn().
TEST_F(Rule, P16_AsManySendsAsEvents) {
    const Port port;
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(::port_send(*port, 5, cookie(i)), 0);
    const auto events = port.now();
    ASSERT_EQ(events.size(), 3u);
    for (size_t i = 0; i < 3; i++) {
        EXPECT_EQ(events[i].portev_source, PORT_SOURCE_USER);
        EXPECT_EQ(events[i].portev_events, 5);
        EXPECT_EQ(events[i].portev_object, 0u);
        EXPECT_EQ(events[i].portev_user, cookie(static_cast<intptr_t>(i)));
    }
}

// A thread must not be cancelled inside some signal handlers. They block the signal that cancels
// threads. pthread_sigmask() would unblock this signal.
TEST_F(Rule, P16_WhatTheCallerBlocksStaysBlocked) {
    const Port port;
    uint64_t mask = uint64_t{1} << (__SIGRTMIN - 1);
    ASSERT_EQ(::syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, nullptr, sizeof mask), 0);
    const uint64_t blocked = mask;
    struct stat st;
    EXPECT_EQ(::fstat(*port, &st), 0);
    EXPECT_EQ(::port_send(*port, 1, nullptr), 0);
    EXPECT_EQ(port.now().size(), 1u);
    ASSERT_EQ(::syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &blocked, &mask, sizeof mask), 0);
    EXPECT_EQ(mask, blocked);
}

TEST_F(Rule, P16_SendnTellsHowManyAndWhyNot) {
    const Port a;
    const Port b;
    const Pipe pipe;
    int ports[] = {*a, -1, *b, *pipe.read};
    int errors[] = {77, 77, 77, 77};
    EXPECT_EQ(::port_sendn(ports, errors, 4, 9, nullptr), 2);
    EXPECT_EQ(errors[0], 0);
    EXPECT_EQ(errors[1], EBADF);
    EXPECT_EQ(errors[2], 0);
    EXPECT_EQ(errors[3], EBADFD);
    EXPECT_EQ(a.count(), 1u);
    EXPECT_EQ(b.count(), 1u);
    EXPECT_ERRNO(EINVAL, ::port_sendn(ports, errors, 0, 9, nullptr));
}

// man/port_send.3c: async-signal-safe.
TEST_F(Rule, P16_ASignalHandlerMaySend) {
    const Port port;
    port_of_handler = *port;
    struct sigaction action {};
    action.sa_handler = [](int) { (void)::port_send(port_of_handler, 1, nullptr); };
    action.sa_flags = SA_RESTART;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
    const pthread_t self = ::pthread_self();
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop)
            ::pthread_kill(self, SIGUSR1);
    });
    size_t got = 0;
    for (int i = 0; i < 3000 || got == 0; i++)  // until at least one signal has come
        got += port.now().size();
    stop = true;
    other.join();
    ::signal(SIGUSR1, SIG_DFL);
    EXPECT_GT(got, 0u);
}

// man/port_alert.3c; portfs/port.c port_alert(): events of 0 end it.
TEST_F(Rule, P17_AnAlertIsReturnedUntilItIsCleared) {
    const Port port;
    Getter one(*port);
    Getter other(*port, 4);
    one.wait_until_asleep();
    other.wait_until_asleep();
    ASSERT_EQ(::port_alert(*port, PORT_ALERT_SET, 3, cookie(1)), 0);
    for (Getter* getter : {&one, &other}) {
        ASSERT_EQ(getter->result().events.size(), 1u);
        EXPECT_EQ(getter->result().events[0].portev_source, PORT_SOURCE_ALERT);
        EXPECT_EQ(getter->result().events[0].portev_events, 3);
        EXPECT_EQ(getter->result().events[0].portev_user, cookie(1));
    }
    ASSERT_EQ(port.send(8), 0);
    EXPECT_EQ(port.now().size(), 1u);
    EXPECT_EQ(port.count(), 1u) << "the queue is untouched";
    EXPECT_ERRNO(EBUSY, ::port_alert(*port, PORT_ALERT_UPDATE, 1, nullptr));
    EXPECT_ERRNO(EINVAL, ::port_alert(*port, PORT_ALERT_SET | PORT_ALERT_UPDATE, 1, nullptr));
    EXPECT_EQ(::port_alert(*port, PORT_ALERT_SET, 4, nullptr), 0);
    EXPECT_EQ(port.now()[0].portev_events, 4);
    EXPECT_EQ(::port_alert(*port, PORT_ALERT_SET, 0, nullptr), 0);
    EXPECT_EQ(port.now()[0].portev_events, 8);
}

// portfs/port_vnops.c port_getattr().
TEST_F(Rule, P28_FstatTellsTheLengthAndTheTimeOfCreation) {
    const Port port;
    struct stat first;
    ASSERT_EQ(::fstat(*port, &first), 0);
    EXPECT_EQ(first.st_ino, 0u);
    EXPECT_EQ(first.st_size, 0);
    ASSERT_EQ(port.send(1), 0);
    struct stat then;
    ASSERT_EQ(::fstat(*port, &then), 0);
    EXPECT_EQ(then.st_size, 1);
    EXPECT_EQ(then.st_dev, first.st_dev);
    EXPECT_EQ(then.st_ctim.tv_nsec, first.st_ctim.tv_nsec);
    std::this_thread::sleep_for(std::chrono::microseconds(10));
    const Port another;
    ASSERT_EQ(::fstat(*another, &then), 0);
    EXPECT_TRUE(then.st_ctim.tv_sec != first.st_ctim.tv_sec ||
                then.st_ctim.tv_nsec != first.st_ctim.tv_nsec);
    EXPECT_EQ(then.st_dev, first.st_dev);
}

}  // namespace
