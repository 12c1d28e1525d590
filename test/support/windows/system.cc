// SPDX-License-Identifier: BSD-2-Clause
// The parts of fd.h, kq.h, endpoint.h and library.h that depend on the system: which descriptors
// are open. There are no terminals, no FIFOs and no model.
#include <fcntl.h>

#include "support/endpoint.h"
#include "support/library.h"

namespace kqtest {
namespace {

constexpr int kDescriptors = 2048;  // of the C library

bool is_open(int fd) {
    return ::_get_osfhandle(fd) != -1;
}

}  // namespace

std::map<int, std::string> open_descriptors() {
    std::map<int, std::string> result;
    for (int fd = 0; fd < kDescriptors; fd++)
        if (is_open(fd)) result[fd] = "descriptor";
    static int sockets[65536];
    const int count = kqposix::count_sockets(sockets, 65536);
    for (int i = 0; i < count; i++)
        result[sockets[i]] = "socket";
    return result;
}

int close_in_use(int fd) {
    return ::close(fd);
}

int free_number() {
    int number = 500;
    while (is_open(number))
        number++;
    return number;
}

Terminal::Terminal(bool /*raw*/) {
    ADD_FAILURE() << "there are no terminals on Windows";
}

Pipe make_fifo() {
    ADD_FAILURE() << "there are no FIFOs on Windows";
    return {};
}

bool hears_sigaction() {
    return false;
}
bool on_model() {
    return false;
}
void let_the_model_see(int /*port*/) {}
bool is_of_the_model(int /*number*/) {
    return false;
}

}  // namespace kqtest
