// SPDX-License-Identifier: BSD-2-Clause
// poll() on a kqueue says what kevent() would find. This is tested for every filter, after each way
// to take away an event or its reason.
#include <fcntl.h>
#include <sys/socket.h>

#include <memory>

#include "support/endpoint.h"
#include "support/net.h"
#include "support/signals.h"

namespace kqtest {
namespace {

// A knote, and how to make it pending and not pending.
class Reason {
  public:
    virtual ~Reason() = default;
    virtual Event add() = 0;      // the change that creates it, with EV_ADD
    virtual void give() = 0;      // pending, soon
    virtual void withdraw() = 0;  // the reason is gone
    virtual void after_take() {}  // what the program does with its event: not pending any more
    Event operation(int flags) {
        Event event = add();
        event.flags = static_cast<decltype(event.flags)>(flags);
        event.fflags = 0;
        return event;
    }

    const Queue* queue = nullptr;
};

class UserReason : public Reason {
  public:
    explicit UserReason(int flags) : flags_(flags) {}
    Event add() override { return change(1, EVFILT_USER, EV_ADD | flags_); }
    void give() override { EXPECT_EQ(queue->apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0); }
    void withdraw() override { EXPECT_EQ(queue->apply(change(1, EVFILT_USER, EV_CLEAR)), 0); }
    void after_take() override {
        if ((flags_ & EV_CLEAR) == 0) withdraw();
    }

  private:
    int flags_;
};

class TimerReason : public Reason {
  public:
    explicit TimerReason(int flags) : flags_(flags) {}
    Event add() override { return change(1, EVFILT_TIMER, EV_ADD | flags_, 0, 60'000); }
    void give() override {
        EXPECT_EQ(queue->apply(change(1, EVFILT_TIMER, EV_ADD | flags_, NOTE_USECONDS, 100)), 0);
    }
    // Set anew. The expiry that a periodic one was to have next, within 100 microseconds, may
    // still be heard of, once (L-STALE-POLL).
    void withdraw() override {
        EXPECT_EQ(queue->apply(add()), 0);
        if ((flags_ & EV_ONESHOT) == 0 && wait_readable(queue->fd(), milliseconds{2}))
            expect_none(queue->collect());
    }
    void after_take() override { withdraw(); }

  private:
    int flags_;
};

class SignalReason : public Reason {
  public:
    Event add() override { return change(SIGUSR1, EVFILT_SIGNAL, EV_ADD); }
    void give() override {
        queue->collect(1);  // it may be held back until then
        send(SIGUSR1);
    }
    void withdraw() override {
        EXPECT_EQ(queue->apply(operation(EV_DELETE)), 0);
        EXPECT_EQ(queue->apply(add()), 0);
    }
};

class ReadReason : public Reason {
  public:
    explicit ReadReason(int flags) : flags_(flags) {}
    Event add() override { return change(*pipe_.read, EVFILT_READ, EV_ADD | flags_); }
    void give() override { write_bytes(*pipe_.write, 1); }
    void withdraw() override { drain(*pipe_.read); }
    void after_take() override { withdraw(); }

  private:
    int flags_;
    Pipe pipe_ = make_pipe();
};

class WriteReason : public Reason {
  public:
    explicit WriteReason(int flags) : flags_(flags) { fill(*pair_.first); }
    Event add() override { return change(*pair_.first, EVFILT_WRITE, EV_ADD | flags_); }
    void give() override { drain(*pair_.second); }
    void withdraw() override { fill(*pair_.first); }
    void after_take() override { withdraw(); }

  private:
    int flags_;
    Pair pair_ = make_socketpair(SOCK_STREAM);
};

class FileReason : public Reason {
  public:
    Event add() override { return change(*file_.fd, EVFILT_READ, EV_ADD); }
    void give() override { write_bytes(*open_file(file_.path, O_WRONLY | O_APPEND), 3); }
    void withdraw() override { drain(*file_.fd); }
    void after_take() override { withdraw(); }

  private:
    TempFile file_;
};

class QueueReason : public Reason {
  public:
    QueueReason() { EXPECT_EQ(inner_.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0); }
    Event add() override { return change(inner_.fd(), EVFILT_READ, EV_ADD); }
    void give() override { EXPECT_EQ(inner_.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0); }
    void withdraw() override { inner_.collect(); }
    void after_take() override { withdraw(); }

  private:
    Queue inner_;
};

struct Kind {
    const char* name;
    std::unique_ptr<Reason> (*make)();
    // Where BUGS.md (L-STALE-POLL) says that poll() may be wrong until the next kevent():
    bool late_after_disable = false;   // EV_DISABLE while the descriptor is ready
    bool late_after_withdraw = false;  // found by looking only
};

template <class R, int flags>
std::unique_ptr<Reason> with() {
    return std::make_unique<R>(flags);
}
template <class R>
std::unique_ptr<Reason> plain() {
    return std::make_unique<R>();
}

const Kind kKinds[] = {
    {"UserClear", with<UserReason, EV_CLEAR>},
    {"UserLevel", with<UserReason, 0>},
    {"UserOneshot", with<UserReason, EV_ONESHOT>},
    {"Timer", with<TimerReason, 0>},
    {"TimerOneshot", with<TimerReason, EV_ONESHOT>},
    {"Signal", plain<SignalReason>},
    {"ReadLevel", with<ReadReason, 0>, true},
    {"ReadClear", with<ReadReason, EV_CLEAR>, true},
    {"ReadDispatch", with<ReadReason, EV_DISPATCH>, true},
    {"WriteLevel", with<WriteReason, 0>, true},
    {"WriteClear", with<WriteReason, EV_CLEAR>, true},
    {"File", plain<FileReason>, false, true},
    {"Kqueue", plain<QueueReason>, true},
};

class Poll : public SignalTest, public testing::WithParamInterface<Kind> {
  protected:
    Poll() : reason_(GetParam().make()) {
        reason_->queue = &q_;
        EXPECT_EQ(q_.apply(reason_->add()), 0);
    }
    void give() {
        reason_->give();
        ASSERT_TRUE(q_.wait_until_readable());
    }
    // poll() and kevent() agree that nothing is pending. `late`: kevent() had to say so first.
    void expect_idle(bool late = false, int line = __builtin_LINE()) const {
        if (!late) {
            EXPECT_FALSE(q_.readable()) << "from line " << line;
        }
        expect_none(q_.collect(), __FILE__, line);
        EXPECT_FALSE(q_.readable()) << "after kevent(), from line " << line;
    }
    bool oneshot() const { return (reason_->add().flags & EV_ONESHOT) != 0; }

    Queue q_;
    std::unique_ptr<Reason> reason_;
};

TEST_P(Poll, R6_NotReadableUntilThereIsSomething) {
    expect_idle();
}

TEST_P(Poll, R6_ReadableUntilItIsTaken) {
    for (int i = 0; i < 3; i++) {
        give();
        EXPECT_TRUE(q_.readable());  // poll() takes nothing
        EXPECT_EQ(q_.wait().size(), 1u);
        if (!oneshot()) reason_->after_take();
        expect_idle(GetParam().late_after_withdraw);
        EXPECT_TRUE(!oneshot() || q_.apply(reason_->add()) == 0);
        if ((reason_->add().flags & EV_DISPATCH) != 0) {
            EXPECT_EQ(q_.apply(reason_->operation(EV_ENABLE)), 0);
        }
    }
}

TEST_P(Poll, R6_NotReadableWhenTheReasonIsGone) {
    give();
    reason_->withdraw();
    // The kernel has told an edge. The next call checks whether it is still true.
    const bool edge = (reason_->add().flags & (EV_CLEAR | EV_DISPATCH)) != 0 &&
                      reason_->add().filter != EVFILT_USER;
    expect_idle(edge || GetParam().late_after_withdraw);
}

TEST_P(Poll, R6_NotReadableAfterDelete) {
    give();
    ASSERT_EQ(q_.apply(reason_->operation(EV_DELETE)), 0);
    expect_idle();
}

TEST_P(Poll, R6_NotReadableWhileDisabled) {
    give();
    ASSERT_EQ(q_.apply(reason_->operation(EV_DISABLE)), 0);
    expect_idle(GetParam().late_after_disable);
}

// A leftover of a call with a small eventlist is as good as any other event.
TEST_P(Poll, R6_ReadableForWhatDidNotFit) {
    ASSERT_EQ(q_.apply(change(100, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    give();
    ASSERT_EQ(q_.apply(change(100, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q_.wait(1).size(), 1u);
    EXPECT_TRUE(q_.readable());
}

TEST_P(Poll, R6_ReadableWhenAddedAgain) {
    if (reason_->add().filter != EVFILT_READ && reason_->add().filter != EVFILT_WRITE)
        GTEST_SKIP() << "forgets its reason when it is deleted";
    give();
    ASSERT_EQ(q_.apply(reason_->operation(EV_DELETE)), 0);
    expect_idle();
    ASSERT_EQ(q_.apply(reason_->add()), 0);
    EXPECT_TRUE(q_.readable());
    ASSERT_EQ(q_.apply(reason_->operation(EV_DISABLE)), 0);
    q_.collect();
    EXPECT_FALSE(q_.readable());
    ASSERT_EQ(q_.apply(reason_->operation(EV_ENABLE)), 0);
    EXPECT_TRUE(q_.readable());
}

// One that watches it hears the same.
TEST_P(Poll, R315_AWatchingQueueAgrees) {
    const Queue outer;
    const int error = outer.apply(change(q_.fd(), EVFILT_READ, EV_ADD));
    ASSERT_EQ(error, 0);
    expect_none(outer.collect());
    give();
    expect_only(outer.wait(), q_.fd(), EVFILT_READ, EV_ADD, 0, 1);
    EXPECT_TRUE(outer.readable());
    ASSERT_EQ(q_.apply(reason_->operation(EV_DELETE)), 0);
    expect_none(outer.collect());
    EXPECT_FALSE(outer.readable());
}

INSTANTIATE_TEST_SUITE_P(Of, Poll, testing::ValuesIn(kKinds), kind_name);

// When the library takes the user event back it must not take the report of the file back.
TEST(PollOfAFile, R6_ReadableForItsChangeAfterAUserEventWasDeleted) {
    const Queue q;
    const TempFile file("abc");
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    write_bytes(*file.fd, 1);
    ASSERT_TRUE(q.wait_until_readable());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    EXPECT_TRUE(q.wait_until_readable());
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].filter, EVFILT_VNODE);
}

// The data that was reported by edge stays in the pipe, so the library does not look again. But the
// end is a new event.
TEST(PollOfAPipe, R6_ReadableForItsEndAfterAnEdgeThatWasReported) {
    const Queue q;
    Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    write_bytes(*pipe.write, 3);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 3);
    pipe.write.reset();
    EXPECT_TRUE(q.wait_until_readable());
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR | EV_EOF, 0, 3);
}

}  // namespace
}  // namespace kqtest
