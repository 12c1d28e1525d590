// SPDX-License-Identifier: BSD-2-Clause
// What happens to ports when a process forks: rules 10, 15, 19. For the sources see rules_test.cc.
#include <sys/resource.h>

#include "rules.h"

namespace {

using namespace rules;

// portfs/port_fd.c port_fd_callback(), os/timer.c timer_port_callback(), portfs/port_fop.c
// port_fop_callback(): EACCES.
TEST_F(Rule, P10_AChildGetsNothing) {
    const Port port;
    const Pipe pipe;
    pipe.put();
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    in_child([&] {
        return port.now().empty() && getn(*port, 1, 1, 5).error == ETIME && port.count() == 0;
    });
    EXPECT_EQ(port.now().size(), 1u);
}

// portfs/port_fd.c port_dissociate_fd(): the first associator is the owner.
TEST_F(Rule, P15_AnAssociationSurvivesForkAndIsTheParents) {
    const Port port;
    const Pipe pipe;
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    in_child([&] {
        EXPECT_ERRNO(EACCES, port.unwatch(*pipe.read));
        return true;
    });
    pipe.put();
    EXPECT_EQ(port.wait().size(), 1u);
}

TEST_F(Rule, P15_WhatAChildClosesIsItsOwn) {
    Port port;
    Pipe pipe;
    const Port outer;
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    ASSERT_EQ(outer.watch(*port, POLLIN), 0);
    in_child([&] {
        pipe.read.close();
        port.close();
        return true;
    });
    pipe.put();
    EXPECT_EQ(outer.wait().size(), 1u);
    EXPECT_EQ(port.wait().size(), 1u);
}

TEST_F(Rule, P15_AChildMakesPortsOfItsOwn) {
    const Port port;
    const Pipe pipe;
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    in_child([&] {
        const Port own;
        EXPECT_EQ(own.watch(*pipe.read, POLLIN), 0);
        EXPECT_EQ(own.now().size(), 0u);
        pipe.put();
        EXPECT_EQ(own.wait().size(), 1u);
        EXPECT_EQ(own.send(1), 0);
        EXPECT_TRUE(own.readable());
        port_notify_t notify{*own, nullptr};
        sigevent event{};
        event.sigev_notify = SIGEV_PORT;
        event.sigev_value.sival_ptr = &notify;
        timer_t timer;
        EXPECT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
        const itimerspec soon{{0, 0}, {0, 1'000'000}};
        EXPECT_EQ(::timer_settime(timer, 0, &soon, nullptr), 0);
        EXPECT_EQ(own.now().size(), 1u);
        EXPECT_EQ(own.wait().size(), 1u);
        return true;
    });
    EXPECT_EQ(port.wait().size(), 1u);
}

TEST_F(Rule, P15_AGetterOfTheParentIsNotInTheChild) {
    const Port port;
    Getter getter(*port);
    getter.wait_until_asleep();
    in_child([&] { return ::close(*port) == 0; });
    EXPECT_FALSE(getter.ended());
    ASSERT_EQ(port.send(1), 0);
    EXPECT_EQ(getter.result().events.size(), 1u);
}

// In the child, the model keeps no descriptor of the parent's model.
TEST_F(Rule, P15_TheModelsDescriptorsAreNotInTheChild) {
    const Port port;
    Getter getter(*port);
    getter.wait_until_asleep();
    in_child([&] {
        int hidden = 0;
        for (int fd = 0; fd < 5000; fd++)
            hidden += eventport_hidden(fd);
        return hidden == 0;
    });
    ASSERT_EQ(port.send(1), 0);
}

TEST_F(Rule, Knob_FewDescriptorsAreEnough) {
    in_child([] {
        const rlimit few{40, 40};
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
        const Port port;
        const Pipe pipe;
        std::vector<int> rest;
        for (int fd = 0; (fd = ::dup(0)) >= 0;)
            rest.push_back(fd);
        EXPECT_EQ(port.watch(*pipe.read, POLLIN), 0);
        pipe.put();
        EXPECT_EQ(port.wait().size(), 1u);
        EXPECT_EQ(getn(*port, 1, 1, 5).error, ETIME) << "there is no descriptor to wake it by";
        EXPECT_ERRNO(EMFILE, ::port_create());
        for (const int fd : rest)
            (void)::close(fd);
        return true;
    });
}

// A child of vfork() shares our memory. What it closes must not end our associations.
TEST_F(Rule, P15_AChildOfVforkClosesItsOwn) {
    const Port port;
    const Pipe pipe;
    ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    const pid_t pid = ::vfork();
    if (pid == 0) ::_exit(::close(*pipe.read) == 0 && ::close(*port) == 0 ? 0 : 1);
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    pipe.put();
    EXPECT_EQ(port.wait().size(), 1u);
}

// os/timer.c: not inherited.
TEST_F(Rule, P19_TimersAreNotInherited) {
    const Port port;
    port_notify_t notify{*port, nullptr};
    sigevent event{};
    event.sigev_notify = SIGEV_PORT;
    event.sigev_value.sival_ptr = &notify;
    timer_t timer;
    ASSERT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    in_child([&] {
        const itimerspec soon{{0, 0}, {0, 1}};
        EXPECT_ERRNO(EINVAL, ::timer_settime(timer, 0, &soon, nullptr));
        return true;
    });
    EXPECT_EQ(port.count(), 0u);
    EXPECT_EQ(::timer_delete(timer), 0);
}

}  // namespace
