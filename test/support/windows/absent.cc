// SPDX-License-Identifier: BSD-2-Clause
// The functions of posix.h and processes.h that cannot work on Windows. A test that calls one has a
// row in gaps_windows.inc, or asks for the backend first.
#include <errno.h>
#include <gtest/gtest.h>

#include "support/windows/posix.h"
#include "support/windows/processes.h"

namespace kqposix {
namespace {

int absent(const char* what) {
    ADD_FAILURE() << "there is no " << what << " on Windows";
    return errno = ENOSYS, -1;
}

}  // namespace

pid_t fork() {
    return absent("fork()");
}
int mkfifo(const char* /*path*/, int /*mode*/) {
    return absent("FIFO");
}
int setuid(uid_t /*user*/) {
    return absent("setuid()");
}
int setgid(gid_t /*group*/) {
    return absent("setgid()");
}
int setgroups(size_t /*count*/, const gid_t* /*groups*/) {
    return absent("setgroups()");
}
int setitimer(int /*which*/, const itimerval* /*value*/, itimerval* /*before*/) {
    return absent("setitimer()");
}
int pause() {
    return absent("pause()");
}
int sigtimedwait(const sigset_t* /*set*/, siginfo_t* /*info*/, const timespec* /*limit*/) {
    return absent("sigtimedwait()");
}
ssize_t readlink(const char* /*path*/, char* /*out*/, size_t /*size*/) {
    return absent("readlink()");
}
int epoll_create1(int /*flags*/) {
    return absent("epoll");
}
int epoll_ctl(int /*set*/, int /*what*/, int /*fd*/, epoll_event* /*event*/) {
    return absent("epoll");
}
int epoll_wait(int /*set*/, epoll_event* /*events*/, int /*most*/, int /*timeout*/) {
    return absent("epoll");
}
int eventfd(unsigned /*value*/, int /*flags*/) {
    return absent("eventfd()");
}
int memfd_create(const char* /*name*/, int /*flags*/) {
    return absent("memfd_create()");
}
int fcntl(int /*fd*/, int /*what*/, flock* /*lock*/) {
    return absent("lock of a file");
}

}  // namespace kqposix
