// SPDX-License-Identifier: BSD-2-Clause
// The parts of fd.h and kq.h that depend on the system: which descriptors are open.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "support/kq.h"
#include "support/library.h"

namespace kqtest {

int close_in_use(int fd) {
    return static_cast<int>(::syscall(SYS_close, fd));
}

int free_number() {
    const Fd low{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const Fd high{::fcntl(*low, F_DUPFD_CLOEXEC, 500)};
    EXPECT_TRUE(bool(high)) << "F_DUPFD_CLOEXEC";
    return *high;
}

std::map<int, std::string> open_descriptors() {
    std::map<int, std::string> result;
    const char* directory = "/proc/self/fd";
    DIR* dir = ::opendir(directory);
    if (dir == nullptr) dir = ::opendir(directory = "/dev/fd");
    if (dir == nullptr) {
        ADD_FAILURE() << "cannot list the open descriptors: " << std::strerror(errno);
        return result;
    }
    while (const dirent* entry = ::readdir(dir)) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        const int number = std::atoi(entry->d_name);
        if (number == ::dirfd(dir) || is_of_the_model(number)) continue;
        char target[PATH_MAX];
        const std::string path = std::string(directory) + "/" + entry->d_name;
        const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
        result[number] = length > 0 ? std::string(target, static_cast<size_t>(length)) : "?";
    }
    ::closedir(dir);
    return result;
}

}  // namespace kqtest
