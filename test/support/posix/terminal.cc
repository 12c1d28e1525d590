// SPDX-License-Identifier: BSD-2-Clause
// The parts of endpoint.h that only Unix systems have.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "support/endpoint.h"

namespace kqtest {
namespace {

void must(bool good, const char* what) {
    if (!good) ADD_FAILURE() << what << ": " << ::strerror(errno);
}

}  // namespace

Terminal::Terminal(bool raw) : master(::posix_openpt(O_RDWR | O_NOCTTY)) {
    must(bool(master) && ::grantpt(*master) == 0 && ::unlockpt(*master) == 0, "posix_openpt");
    const char* name = ::ptsname(*master);
    must(name != nullptr, "ptsname");
    slave = open_file(name == nullptr ? "/dev/null" : name, O_RDWR | O_NOCTTY);
    termios mode{};
    must(::tcgetattr(*slave, &mode) == 0, "tcgetattr");
    if (raw)
        ::cfmakeraw(&mode);
    else
        mode.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    must(::tcsetattr(*slave, TCSANOW, &mode) == 0, "tcsetattr");
}

Pipe make_fifo() {
    const TempFile name;
    ::unlink(name.path.c_str());
    must(::mkfifo(name.path.c_str(), 0600) == 0, "mkfifo");
    Fd read = open_file(name.path, O_RDONLY | O_NONBLOCK);
    Fd write = open_file(name.path, O_WRONLY);
    set_nonblock(*read, false);
    return {std::move(read), std::move(write)};
}

}  // namespace kqtest
