// EVFILT_READ on sockets of a protocol that cannot say how much there is: netlink. Linux only.
#ifdef __linux__
    #include <linux/netlink.h>
    #include <linux/rtnetlink.h>
    #include <sys/socket.h>

    #include "support/kq.h"

namespace kqtest {
namespace {

class Netlink : public KqTest {
  protected:
    Queue q;
};

// FIONREAD is ENOTTY there, and the knote never was true. data: L-OTHER-DATA.
TEST_F(Netlink, R118_ADatagramIsReportedWhereItsSizeCannotBeAsked) {
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
        EXPECT_EQ(events[0].data, 1);
        EXPECT_EQ(events[0].flags & EV_EOF, 0);
        char answer[1 << 14];
        while (::recv(*socket, answer, sizeof answer, MSG_DONTWAIT) > 0) {
        }
        ASSERT_EQ(q.apply(change(*socket, EVFILT_READ, EV_DELETE)), 0);
    }
}

}  // namespace
}  // namespace kqtest
#endif
