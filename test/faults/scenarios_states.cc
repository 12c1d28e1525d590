// SPDX-License-Identifier: BSD-2-Clause
// States of descriptors (EVFILT_EXCEPT, EVFILT_EMPTY, EVFILT_PROCDESC) and mounts, while the system
// refuses.
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "faults/scenarios.h"

namespace kqfaults {
namespace {

void exceptions(Driver& d) {
    const Ends tcp = make_connection();
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(tcp.second);
    const auto send_urgent = [&tcp] {
        if (::send(*tcp.first, "!", 1, MSG_OOB) != 1) throw Broken("send()");
    };
    const auto take_urgent = [&tcp] {
        char c = 0;
        if (::recv(*tcp.second, &c, 1, MSG_OOB) != 1) throw Broken("recv()");
    };
    d.change(queue, fd, EVFILT_EXCEPT, EV_ADD, NOTE_OOB);
    d.expect_none(queue);
    send_urgent();
    d.expect(queue, {{fd, EVFILT_EXCEPT}});
    d.change(queue, fd, EVFILT_EXCEPT, EV_DISABLE);
    d.expect_none(queue);
    d.change(queue, fd, EVFILT_EXCEPT, EV_ENABLE);
    d.expect(queue, {{fd, EVFILT_EXCEPT}});
    d.change(queue, fd, EVFILT_EXCEPT, EV_DELETE);
    take_urgent();
    d.change(queue, fd, kRead, EV_ADD | EV_DISABLE);
    d.change(queue, fd, EVFILT_EXCEPT, EV_ADD | EV_CLEAR, NOTE_OOB);
    send_urgent();
    d.expect(queue, {{fd, EVFILT_EXCEPT}});
}

void emptiness(Driver& d) {
    const Ends pair = make_sockets(SOCK_STREAM);
    const Ends pipe = make_pipe();
    const Fd queue = d.kqueue();
    for (const auto& [from, to] :
         {std::pair(&pair.first, &pair.second), std::pair(&pipe.second, &pipe.first)}) {
        const uintptr_t fd = ident(*from);
        put(*from);
        d.change(queue, fd, EVFILT_EMPTY, EV_ADD | EV_CLEAR);
        d.expect_none(queue);
        take(*to);
        d.expect(queue, {{fd, EVFILT_EMPTY}});
        d.change(queue, fd, EVFILT_EMPTY, EV_DISABLE);
        d.change(queue, fd, EVFILT_EMPTY, EV_ENABLE);
        d.expect(queue, {{fd, EVFILT_EMPTY}});
        d.change(queue, fd, EVFILT_EMPTY, EV_DELETE);
    }
}

int exits() {
    return 3;
}

void descriptors_of_processes(Driver& d) {
    const Fd queue = d.kqueue();
    Child child(exits);
    const Fd process = [&child] {
        const Unlimited unlimited;
        return high(
            static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(child.number()), 0)));
    }();
    if (!process) throw Broken("no pidfd");
    d.change(queue, ident(process), EVFILT_PROCDESC, EV_ADD, NOTE_EXIT);
    d.expect_none(queue);
    child.go();
    d.expect(queue, {{ident(process), EVFILT_PROCDESC}});
    d.change(queue, ident(process), EVFILT_PROCDESC, EV_ADD | EV_DISABLE, NOTE_EXIT);
    d.expect_none(queue);
    d.change(queue, ident(process), EVFILT_PROCDESC, EV_ENABLE);
    d.expect(queue, {{ident(process), EVFILT_PROCDESC}});
}

void mounts(Driver& d) {
    const Place place;
    const auto mount_one = [&place] {
        if (::mount("none", place.directory, "tmpfs", 0, nullptr) != 0) throw Broken("mount()");
    };
    const auto unmount_one = [&place] { (void)::umount2(place.directory, MNT_DETACH); };
    const Fd queue = d.kqueue();
    d.change(queue, 0, EVFILT_FS, EV_ADD);
    d.expect_none(queue);
    mount_one();
    d.expect(queue, {{0, EVFILT_FS}});
    d.change(queue, 1, EVFILT_FS, EV_ADD | EV_ONESHOT);
    d.expect_none(queue);
    unmount_one();
    d.expect(queue, {{0, EVFILT_FS}, {1, EVFILT_FS}});
    d.change(queue, 0, EVFILT_FS, EV_DELETE);
}

}  // namespace

bool may_mount() {
    static const bool may = ::unshare(CLONE_NEWNS) == 0 &&
                            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    return may;
}

std::vector<Scenario> state_scenarios() {
    return {
        {"exceptions", exceptions},
        {"emptiness", emptiness},
        {"descriptors_of_processes", descriptors_of_processes, Needs::nothing, EINVAL},
        {"mounts", mounts, Needs::mounts},
    };
}

}  // namespace kqfaults
