// SPDX-License-Identifier: BSD-2-Clause
// posix.h under the names that tests use. Nothing beside <winsock2.h>, which has the same ones and
// is for those who write posix.h.
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

using kqposix::accept;
using kqposix::bind;
using kqposix::connect;
using kqposix::fcntl;
using kqposix::fd_set;
using kqposix::fork;
using kqposix::getrlimit;
using kqposix::getsockname;
using kqposix::getsockopt;
using kqposix::htonl;
using kqposix::htons;
using kqposix::ioctl;
using kqposix::linger;
using kqposix::listen;
using kqposix::mkfifo;
using kqposix::mmap;
using kqposix::mprotect;
using kqposix::munmap;
using kqposix::pipe;
using kqposix::poll;
using kqposix::pollfd;
using kqposix::read;
using kqposix::recv;
using kqposix::rlim_t;
using kqposix::rlimit;
using kqposix::sa_family_t;
using kqposix::select;
using kqposix::send;
using kqposix::setenv;
using kqposix::setrlimit;
using kqposix::setsockopt;
using kqposix::shutdown;
using kqposix::sigaction;
using kqposix::sigset_t;
using kqposix::sockaddr;
using kqposix::sockaddr_in;
using kqposix::sockaddr_un;
using kqposix::socket;
using kqposix::socketpair;
using kqposix::socklen_t;
using kqposix::sysconf;
using kqposix::unsetenv;
using kqposix::write;

#endif

#endif
