// SPDX-License-Identifier: BSD-2-Clause
// Gives the functions of posix.h the names that tests use. It defines nothing if <winsock2.h> is
// included, which has the same names: only the files that implement posix.h include that.
#ifndef KQTEST_WINDOWS_NAMES_H
#define KQTEST_WINDOWS_NAMES_H

#include <errno.h>
#include_next <fcntl.h>
#include <io.h>
#include <kqueue/signal.h>
#include_next <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include_next <unistd.h>

#ifndef _WINSOCK2API_

    #include "support/windows/posix.h"
    #include "support/windows/processes.h"

using kqposix::accept;
using kqposix::bind;
using kqposix::connect;
using kqposix::epoll_create1;
using kqposix::epoll_ctl;
using kqposix::epoll_event;
using kqposix::epoll_wait;
using kqposix::eventfd;
using kqposix::fchmod;
using kqposix::fchown;
using kqposix::fcntl;
using kqposix::fd_set;
using kqposix::flock;
using kqposix::fork;
using kqposix::geteuid;
using kqposix::getgid;
using kqposix::getppid;
using kqposix::getrlimit;
using kqposix::getrusage;
using kqposix::getsockname;
using kqposix::getsockopt;
using kqposix::getuid;
using kqposix::gid_t;
using kqposix::htonl;
using kqposix::htons;
using kqposix::id_t;
using kqposix::in6_addr;
using kqposix::in6addr_loopback;
using kqposix::ioctl;
using kqposix::itimerval;
using kqposix::kill;
using kqposix::linger;
using kqposix::link;
using kqposix::listen;
using kqposix::mallinfo2;
using kqposix::memfd_create;
using kqposix::mkdir;
using kqposix::mkdtemp;
using kqposix::mkfifo;
using kqposix::mmap;
using kqposix::mprotect;
using kqposix::munmap;
using kqposix::pause;
using kqposix::pipe;
using kqposix::poll;
using kqposix::pollfd;
using kqposix::pwrite;
using kqposix::read;
using kqposix::readlink;
using kqposix::recv;
using kqposix::rlim_t;
using kqposix::rlimit;
using kqposix::rusage;
using kqposix::sa_family_t;
using kqposix::select;
using kqposix::send;
using kqposix::setenv;
using kqposix::setgid;
using kqposix::setgroups;
using kqposix::setitimer;
using kqposix::setrlimit;
using kqposix::setsockopt;
using kqposix::setuid;
using kqposix::shutdown;
using kqposix::sigaction;
using kqposix::sigaddset;
using kqposix::sigemptyset;
using kqposix::siginfo_t;
using kqposix::sigismember;
using kqposix::sigqueue;
using kqposix::sigset_t;
using kqposix::sigtimedwait;
using kqposix::sigval;
using kqposix::sockaddr;
using kqposix::sockaddr_in;
using kqposix::sockaddr_in6;
using kqposix::sockaddr_storage;
using kqposix::sockaddr_un;
using kqposix::socket;
using kqposix::socketpair;
using kqposix::socklen_t;
using kqposix::sysconf;
using kqposix::uid_t;
using kqposix::unsetenv;
using kqposix::utimes;
using kqposix::waitid;
using kqposix::waitpid;
using kqposix::WEXITSTATUS;
using kqposix::WIFEXITED;
using kqposix::WIFSIGNALED;
using kqposix::write;
using kqposix::WTERMSIG;

#endif

#endif
