// SPDX-License-Identifier: BSD-2-Clause
// More knotes than the process may have files.
#include <fcntl.h>
#include <sys/socket.h>

#include <vector>

#include "support/kq.h"
#include "support/limit.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

void fill(int fd) {
    ASSERT_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    const std::vector<char> much(1 << 16);
    while (::write(fd, much.data(), much.size()) > 0) {
    }
}

class Limits : public KqTest {};

// Two of each descriptor, none of them true: to be waited for, and collected, all the same.
TEST_F(Limits, KnotesMayBeMoreThanTheProcessMayHaveFiles) {
    const Queue q;
    std::vector<Pair> pairs;
    for (int i = 0; i < 40; i++)
        pairs.push_back(make_socketpair(SOCK_STREAM));
    for (const Pair& pair : pairs) {
        fill(*pair.first);
        ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD),
                          change(*pair.first, EVFILT_WRITE, EV_ADD)),
                  0);
    }
    const int last = *pairs.back().first;
    const DescriptorLimit few(50);  // opened before, they stay open
    expect_none(q.collect(16, milliseconds{20}));
    for (int round = 0; round < 3; round++) {
        Thread writer([&] { write_bytes(*pairs.back().second, 1); });
        expect_only(q.wait(), last, EVFILT_READ, EV_ADD, 0, 1);
        writer.join();
        read_bytes(last, 1);
    }
}

}  // namespace
}  // namespace kqtest
