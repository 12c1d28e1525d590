// SPDX-License-Identifier: BSD-2-Clause
// kq_sim_flat DESCRIPTORS OPERATION COUNT: does one operation COUNT times in a kqueue that watches
// so many descriptors of the simulated system, which has as many as one likes. flat.py counts the
// instructions of the library in it, and leaves out those of the simulation.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sim/sim_test.h"

namespace sim {
namespace {

constexpr int kFirst = 64;
constexpr int kStep = 7919;  // a prime number: the descriptors of an operation are far apart

void must(bool good, const char* what) {
    if (good) return;
    (void)std::fprintf(stderr, "kq_sim_flat: %s\n", what);
    std::exit(1);
}

class Flat {
  public:
    explicit Flat(int descriptors) : descriptors_(descriptors) {
        for (int i = 0; i <= descriptors; i++)
            must(world().open(FdKind::pipe, kFirst + i) == kFirst + i, "open");
        for (int i = 0; i < descriptors; i++)
            read(kFirst + i, EV_ADD);
    }

    void run(std::string_view operation, int count) {
        for (int i = 0; i < count; i++) {
            const int fd = kFirst + static_cast<int>(int64_t{i} * kStep % descriptors_);
            if (operation == "add") {  // and delete, of a number that is not watched
                read(kFirst + descriptors_, EV_ADD);
                read(kFirst + descriptors_, EV_DELETE);
            } else if (operation == "modify") {
                read(fd, EV_ADD);
            } else if (operation == "silence") {
                read(fd, EV_DISABLE);
                read(fd, EV_ENABLE);
            } else if (operation == "fire") {
                world().feed(fd, 1);
                must(idents(queue_.wait()) == std::vector{fd}, "not that event");
                world().feed(fd, -1);
            } else {
                must(false, "no such operation");
            }
        }
    }

  private:
    void read(int fd, unsigned flags) {
        must(queue_.change(static_cast<uintptr_t>(fd), EVFILT_READ, flags) == Errno::ok, "change");
    }

    const int descriptors_;
    Queue queue_;
};

}  // namespace
}  // namespace sim

int main(int argc, char** argv) {
    if (argc != 4) {
        (void)std::fprintf(stderr,
                           "usage: kq_sim_flat DESCRIPTORS add|modify|silence|fire COUNT\n");
        return 2;
    }
    sim::reset();
    sim::Flat flat(std::atoi(argv[1]));
    flat.run(argv[2], std::atoi(argv[3]));
    return 0;
}
