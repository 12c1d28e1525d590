// SPDX-License-Identifier: BSD-2-Clause
// A kqueue has more knotes than the process may have open files.
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "support/kq.h"
#include "support/library.h"
#include "support/limit.h"
#include "support/net.h"
#include "support/scarce.h"
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

// Each descriptor has two knotes, and no knote is true. The call must still wait for them, and
// collect them.
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

// EVFILT_EMPTY is looked at now and then, and takes a timer of the kernel for that.
TEST_F(Limits, S53_EmptyNeedsTheDescriptorOfATimer) {
    if (!on_linux()) GTEST_SKIP() << "it needs no descriptor there";
    const Queue q;
    const Pair pair = make_socketpair(SOCK_STREAM);
    write_bytes(*pair.first, 1);
    const Event wanted = change(*pair.first, EVFILT_EMPTY, EV_ADD);
    {
        const NoDescriptors none;
        ASSERT_EQ(q.apply(wanted), EMFILE);
    }
    EXPECT_FALSE(has_knote(q, *pair.first, EVFILT_EMPTY));
    ASSERT_EQ(q.apply(wanted), 0);
    expect_none(q.collect());
    read_bytes(*pair.second, 1);
    expect_only(q.wait(), *pair.first, EVFILT_EMPTY, EV_ADD);
}

// READ by level and WRITE by edge of one socket take a descriptor more on Linux. The knote asks for
// what it asked for before the change that failed.
TEST_F(Limits, AChangeThatCannotBeMadeLeavesTheKnoteAsItWas) {
    if (!on_linux()) GTEST_SKIP() << "this change needs no descriptor there";
    const Queue q;
    const Pair pair = make_socketpair(SOCK_STREAM);
    const int fd = *pair.first;
    ASSERT_EQ(q.apply(change(fd, EVFILT_READ, EV_ADD),
                      change(fd, EVFILT_WRITE, EV_ADD | EV_DISABLE | EV_CLEAR)),
              0);
    const Event wanted = change(fd, EVFILT_WRITE, EV_ADD | EV_ENABLE, NOTE_LOWAT, 1 << 30, tag(33));
    {
        const NoDescriptors none;
        ASSERT_EQ(q.apply(wanted), EMFILE);
    }
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(fd, EVFILT_WRITE, EV_ENABLE, 0, 0, tag(44))), 0);
    const std::vector<Event> events = q.collect();
    ASSERT_EQ(events.size(), 1u) << "the low-water mark of the failed change is in effect";
    EXPECT_EQ(events[0].udata, tag(44));
}

}  // namespace
}  // namespace kqtest
