// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ on netlink sockets, which cannot say how many bytes there are to read. Linux only.
#ifdef __linux__
    #include <linux/netlink.h>
    #include <linux/rtnetlink.h>
    #include <sys/socket.h>

    #include "support/gaps.h"
    #include "support/kq.h"

namespace kqtest {
namespace {

class Netlink : public KqTest {
  protected:
    Queue q;
};

// FIONREAD fails with ENOTTY there. A bug was that the knote therefore never became active. A
// program that reads `data` bytes gets the whole datagram.
TEST_F(Netlink, R118_DatagramsAreReportedWhereTheirSizeCannotBeAsked) {
    const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket) GTEST_SKIP() << "no netlink here";
    for (const int mode : {0, EV_CLEAR}) {
        ASSERT_EQ(q.apply(change(*socket, EVFILT_READ, EV_ADD | mode)), 0);
        expect_silent(q);
        struct {
            nlmsghdr header;
            rtgenmsg body;
        } question{};
        question.header.nlmsg_len = sizeof question;
        question.header.nlmsg_type = RTM_GETLINK;
        question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        ASSERT_EQ(::send(*socket, &question, sizeof question, 0), ssize_t{sizeof question});
        const auto events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        char byte = 0;
        const ssize_t first = ::recv(*socket, &byte, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        EXPECT_GT(first, 1);
        EXPECT_EQ(events[0].flags & EV_EOF, 0);
        static char answer[1 << 14];
        ssize_t sum = 0;
        ssize_t size = ::recv(*socket, answer, sizeof answer, MSG_DONTWAIT);
        for (; size > 0; size = ::recv(*socket, answer, sizeof answer, MSG_DONTWAIT))
            sum += size;
        EXPECT_GT(sum, 0);
        // What is dumped goes on to come while it is read.
        EXPECT_GE(events[0].data, on_linux() ? first : 1);
        ASSERT_EQ(q.apply(change(*socket, EVFILT_READ, EV_DELETE)), 0);
    }
}

}  // namespace
}  // namespace kqtest
#endif
