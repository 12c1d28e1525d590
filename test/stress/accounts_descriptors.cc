// SPDX-License-Identifier: BSD-2-Clause
// Accounts of filters of descriptors: READ, WRITE, VNODE. See accounts.h.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stress/accounts.h"
#include "support/library.h"
#include "support/tree.h"

namespace kqstress {
namespace {

// A thread reads bytes only when an edge has reported them. If one edge is lost, bytes are left.
class ReadEdges : public Account {
  public:
    ReadEdges(const Queue& q, unsigned seed) : Account("READ CLEAR", q, seed) {
        set_nonblock(*pipe_.read);
        EXPECT_EQ(apply(*pipe_.read, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    }
    bool round() override {
        for (int i = dice_.up_to(8); i > 0; i--) {
            const int count = dice_.up_to(64);
            provoked_ += count;
            write_bytes(*pipe_.write, static_cast<size_t>(count));
        }
        return wait_until([this] { return delivered_ == provoked_; }, "bytes are left");
    }
    void balance() const override { EXPECT_EQ(delivered_, provoked_) << name(); }

  private:
    void take(const Event&) override {
        char bytes[256];
        for (ssize_t got = 1; got > 0; delivered_ += got > 0 ? got : 0)
            got = ::read(*pipe_.read, bytes, sizeof bytes);
    }
    Pipe pipe_ = make_pipe();
};

// A connection that is filled and emptied. A thread does so only when an event has said that it
// can.
class Flow : public Account {
  public:
    Flow(const char* name, const Queue& q, unsigned seed, Pair pair)
        : Account(name, q, seed), pair_(std::move(pair)) {
        set_nonblock(*pair_.first);
        set_nonblock(*pair_.second);
        EXPECT_EQ(apply(*pair_.second, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    }
    bool round() override {
        {
            const std::lock_guard guard(mutex_);
            left_ = 100'000L * dice_.up_to(10);
            provoked_ += left_;
        }
        // EV_ADD of a knote that is there reports again that the socket is writable. No
        // other event starts a round.
        EXPECT_EQ(apply(*pair_.first, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
        return wait_until([this] { return delivered_ == provoked_; }, "it has stopped");
    }
    void balance() const override { EXPECT_EQ(delivered_, provoked_) << name(); }

  private:
    void take(const Event& event) override {
        static char bytes[16384];
        if (event.filter == EVFILT_READ) {
            for (ssize_t got = 1; got > 0; delivered_ += got > 0 ? got : 0)
                got = ::recv(*pair_.second, space_, sizeof space_, 0);
            return;
        }
        while (left_ > 0) {
            const auto size = std::min<size_t>(static_cast<size_t>(left_), sizeof bytes);
            const ssize_t sent = ::send(*pair_.first, bytes, size, MSG_NOSIGNAL);
            if (sent <= 0) return;
            left_ -= sent;
        }
    }
    Pair pair_;
    long left_ = 0;
    char space_[16384];
};

// Files that are written to, removed, and closed, with EV_DELETE and without. NOTE_DELETE comes
// exactly once. NOTE_WRITE comes at least once, but not more often than the file was written to.
class Files : public Account {
  public:
    Files(const Queue& q, unsigned seed) : Account("VNODE", q, seed) {}

    bool round() override {
        std::vector<Fd> open;
        for (int i = dice_.up_to(4); i > 0; i--) {
            open.push_back(tree_.file(std::to_string(i)));
            live(tree_.path(std::to_string(i)), *open.back());
        }
        const bool done = wait_until(
            [this] {
                for (const auto& [ident, life] : lives_)
                    if (life.deletes == 0 || life.writes == 0) return false;
                return true;
            },
            "NOTE_WRITE or NOTE_DELETE of a file is missing");
        for (const Fd& fd : open) {
            if (!dice_.one_in(2)) continue;
            EXPECT_EQ(q_.apply(change(*fd, EVFILT_VNODE, EV_DELETE)), 0);
        }
        const std::lock_guard guard(mutex_);
        for (const auto& [ident, life] : lives_)
            EXPECT_EQ(life.deletes, 1);
        lives_.clear();
        return done;
    }
    void balance() const override {
        EXPECT_EQ(delivered_, provoked_) << name();
        // Where files are looked at, one write() may be seen twice: P-VNODE-LATE in BUGS.md.
        EXPECT_LE(writes_, on_linux() ? written_ : 2 * written_) << name();
    }

  private:
    struct Life {
        int writes = 0;
        int deletes = 0;
    };
    void live(const std::string& path, int fd) {
        const int count = dice_.up_to(4);
        {
            const std::lock_guard guard(mutex_);
            lives_[static_cast<uintptr_t>(fd)] = {};
            written_ += count;
        }
        EXPECT_EQ(apply(fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_DELETE), 0);
        for (int i = 0; i < count; i++)
            write_bytes(fd, 1);
        provoked_++;
        EXPECT_EQ(::unlink(path.c_str()), 0);
    }
    void take(const Event& event) override {
        const auto life = lives_.find(event.ident);
        const bool known = life != lives_.end();
        if ((event.fflags & NOTE_WRITE) != 0) {
            writes_++;  // another thread may bring it here after the file's NOTE_DELETE
            if (known) life->second.writes++;
        }
        if ((event.fflags & NOTE_DELETE) == 0) return;
        delivered_++;
        if (known) life->second.deletes++;
    }
    const Tree tree_;
    std::map<uintptr_t, Life> lives_;  // of this round
    long written_ = 0;
    long writes_ = 0;
};

}  // namespace

void add_descriptor_accounts(const Queue& q, unsigned seed,
                             std::vector<std::unique_ptr<Account>>& to) {
    to.push_back(std::make_unique<ReadEdges>(q, seed));
    to.push_back(
        std::make_unique<Flow>("WRITE CLEAR unix", q, seed + 1, make_socketpair(SOCK_STREAM)));
    to.push_back(std::make_unique<Flow>("WRITE CLEAR tcp", q, seed + 2, make_tcp_pair()));
    to.push_back(std::make_unique<Files>(q, seed + 3));
}

}  // namespace kqstress
