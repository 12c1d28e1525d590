// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL, EVFILT_PROC, EVFILT_VNODE.
#include <kqueue/signal.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/utime.h>

#include "support.h"

namespace kqtest {
namespace {

// ---- EVFILT_SIGNAL ----

std::atomic<int> handled{0};

void count_handled(int /*number*/) {
    handled++;
}

TEST(Signal, R65_Numbers) {
    Queue q;
    EXPECT_EQ(q.change(0, EVFILT_SIGNAL, EV_ADD), EINVAL);
    EXPECT_EQ(q.change(9999, EVFILT_SIGNAL, EV_ADD), EINVAL);
}

TEST(Signal, R217_R219_OfTheCLibrary) {
    for (const int number : {SIGINT, SIGTERM, SIGBREAK, SIGABRT}) {
        Queue q;
        EXPECT_EQ(q.change(static_cast<uintptr_t>(number), EVFILT_SIGNAL, EV_ADD), 0);
        EXPECT_EQ(raise(number), 0);
        EXPECT_EQ(raise(number), 0);
        const struct kevent event = q.one();
        EXPECT_EQ(event.ident, static_cast<uintptr_t>(number));
        EXPECT_EQ(event.data, 2);
        EXPECT_NE(event.flags & EV_CLEAR, 0);
        q.expect_none();
    }
}

TEST(Signal, R217_OfNobodyElse) {
    Queue q;
    EXPECT_EQ(q.change(SIGUSR1, EVFILT_SIGNAL, EV_ADD), 0);
    EXPECT_EQ(q.change(SIGUSR2, EVFILT_SIGNAL, EV_ADD), 0);
    EXPECT_EQ(kq_raise(SIGUSR2), 0);
    EXPECT_EQ(kq_kill(static_cast<int>(GetCurrentProcessId()), SIGUSR2), 0);
    const struct kevent event = q.one();
    EXPECT_EQ(event.ident, static_cast<uintptr_t>(SIGUSR2));
    EXPECT_EQ(event.data, 2);
}

TEST(Signal, R222_R233_TheProgramsHandlerRunsAndIsPutBack) {
    handled = 0;
    EXPECT_EQ(signal(SIGTERM, count_handled), SIG_DFL);
    {
        Queue q;
        EXPECT_EQ(q.change(SIGTERM, EVFILT_SIGNAL, EV_ADD), 0);
        EXPECT_EQ(raise(SIGTERM), 0);
        EXPECT_EQ(handled, 1);
        EXPECT_EQ(q.one().data, 1);
        // A handler that is set while the signal is watched is noticed by the next call.
        EXPECT_NE(signal(SIGTERM, count_handled), SIG_ERR);
        q.expect_none(milliseconds(1));
        EXPECT_EQ(raise(SIGTERM), 0);
        EXPECT_EQ(handled, 2);
        EXPECT_EQ(q.one().data, 1);
        EXPECT_EQ(q.change(SIGTERM, EVFILT_SIGNAL, EV_DELETE), 0);
    }
    EXPECT_EQ(signal(SIGTERM, SIG_DFL), count_handled);
}

TEST(Signal, R227_ASleeperAndTwoKqueues) {
    Queue a;
    Queue b;
    EXPECT_EQ(a.change(SIGINT, EVFILT_SIGNAL, EV_ADD), 0);
    EXPECT_EQ(b.change(SIGINT, EVFILT_SIGNAL, EV_ADD), 0);
    std::thread other([] {
        std::this_thread::sleep_for(milliseconds(30));
        raise(SIGINT);
    });
    EXPECT_EQ(a.one().data, 1);
    EXPECT_EQ(b.one().data, 1);
    other.join();
}

// ---- EVFILT_PROC ----

// This is no test. A Child runs it, in a process of its own.
TEST(Process, DISABLED_Sleeps) {
    std::this_thread::sleep_for(std::chrono::seconds(30));
}

TEST(Process, R64_ThereIsNone) {
    Queue q;
    EXPECT_EQ(q.change(INT_MAX, EVFILT_PROC, EV_ADD, NOTE_EXIT), ESRCH);
}

TEST(Process, R199_ExitCode) {
    Queue q;
    const Child child;
    EXPECT_EQ(q.change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
    q.expect_none(milliseconds(20));
    std::thread other([&] {
        std::this_thread::sleep_for(milliseconds(50));
        child.end(64);
    });
    const struct kevent event = q.one();
    other.join();
    EXPECT_EQ(event.ident, child.pid());
    EXPECT_EQ(event.fflags, NOTE_EXIT);
    EXPECT_EQ(event.data, 64 << 8);
    EXPECT_NE(event.flags & EV_EOF, 0);
    EXPECT_EQ(q.change(child.pid(), EVFILT_PROC, EV_DELETE), ENOENT);
}

TEST(Process, R198_EndedByAnException) {
    Queue q;
    const Child child;
    EXPECT_EQ(q.change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
    child.end(STATUS_ACCESS_VIOLATION);
    EXPECT_EQ(q.one().data, SIGSEGV);
}

TEST(Process, R203_R206_DeletedAndTwoKqueues) {
    Queue a;
    Queue b;
    Queue c;
    const Child child;
    for (Queue* q : {&a, &b, &c})
        EXPECT_EQ(q->change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
    EXPECT_EQ(c.change(child.pid(), EVFILT_PROC, EV_DELETE), 0);
    EXPECT_EQ(kq_kill(static_cast<int>(child.pid()), SIGKILL), 0);
    EXPECT_EQ(a.one().ident, child.pid());
    EXPECT_EQ(b.one().ident, child.pid());
    c.expect_none(milliseconds(20));
}

TEST(Process, R214_WhatNobodyTellsIsRefused) {
    Queue q;
    const Child child;
    EXPECT_EQ(q.change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_FORK), ENOTSUP);
}

// ---- EVFILT_VNODE ----

constexpr unsigned kAll =
    NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME | NOTE_TRUNCATE;

TEST(Vnode, R169_R170_R171_Writing) {
    Queue q;
    const File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_EXTEND), 0);
    q.expect_none(milliseconds(50));
    _lseek(file.fd, 0, SEEK_END);
    file.write("d");
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_WRITE | NOTE_EXTEND});
    q.expect_none(milliseconds(50));
    _lseek(file.fd, 0, SEEK_SET);
    file.write("x");
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_WRITE});
}

TEST(Vnode, R177_Truncating) {
    Queue q;
    const File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_TRUNCATE), 0);
    EXPECT_EQ(_chsize(file.fd, 1), 0);
    EXPECT_NE(q.one().fflags & NOTE_TRUNCATE, 0u);
}

TEST(Vnode, R175_Attributes) {
    Queue q;
    const File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_ATTRIB), 0);
    EXPECT_TRUE(SetFileAttributesA(file.name.c_str(), FILE_ATTRIBUTE_READONLY));
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_ATTRIB});
    EXPECT_TRUE(SetFileAttributesA(file.name.c_str(), FILE_ATTRIBUTE_NORMAL));
}

TEST(Vnode, R181_Links) {
    Queue q;
    const File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_LINK), 0);
    const std::string other = file.name + "-link";
    if (!CreateHardLinkA(other.c_str(), file.name.c_str(), nullptr))
        GTEST_SKIP() << "no hard links";
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_LINK});
    EXPECT_TRUE(DeleteFileA(other.c_str()));
    if (is_wine()) return;  // Wine keeps every name of a file while it is open
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_LINK});
}

TEST(Vnode, R178_Removing) {
    if (is_wine()) GTEST_SKIP() << "Wine does not tell of a file that is removed while it is open";
    Queue q;
    const File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_DELETE), 0);
    EXPECT_TRUE(DeleteFileA(file.name.c_str()));
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_DELETE});
}

TEST(Vnode, R179_Renaming) {
    Queue q;
    File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_RENAME), 0);
    const std::string first = file.name;
    for (const char* end : {"-other", "-third"}) {
        const std::string other = first + end;
        EXPECT_TRUE(MoveFileA(file.name.c_str(), other.c_str()));
        file.name = other;
        EXPECT_EQ(q.one().fflags, unsigned{NOTE_RENAME});
        q.expect_none(milliseconds(150));  // and no event when the file is looked at
    }
    // Another file gets the former name. That is no news of this file.
    const int other = _open(first.c_str(), _O_CREAT | _O_RDWR, 0600);
    EXPECT_TRUE(MoveFileA((_close(other), first.c_str()), (first + "-fourth").c_str()));
    q.expect_none(milliseconds(150));
    EXPECT_TRUE(DeleteFileA((first + "-fourth").c_str()));
}

// Looking at the file could not find this.
TEST(Vnode, R179_RenamedToAndFro) {
    Queue q;
    const File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_RENAME), 0);
    const std::string other = file.name + "-other";
    EXPECT_TRUE(MoveFileA(file.name.c_str(), other.c_str()));
    EXPECT_TRUE(MoveFileA(other.c_str(), file.name.c_str()));
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_RENAME});
}

TEST(Vnode, R192_ManyFilesOfADirectoryAndTwoKqueues) {
    constexpr int kFiles = 20;
    Queue queues[2];
    std::vector<File> files(kFiles);
    for (const Queue& q : queues)
        for (const File& file : files)
            EXPECT_EQ(
                const_cast<Queue&>(q).change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE),
                0);
    for (const int i : {3, 11}) {
        files[i].write("x");
        for (Queue& q : queues) {
            EXPECT_EQ(q.one().ident, static_cast<uintptr_t>(files[i].fd));
            q.expect_none(milliseconds(150));
        }
    }
    EXPECT_EQ(queues[0].change(files[3].fd, EVFILT_VNODE, EV_DELETE), 0);
    files[3].write("y");
    EXPECT_EQ(queues[1].one().ident, static_cast<uintptr_t>(files[3].fd));
    queues[0].expect_none(milliseconds(150));
}

// The file is written by a name about which the system reports nothing. So the library looks.
TEST(Vnode, R171_ByANameElsewhere) {
    const std::string directory = temporary_name("elsewhere");
    const std::string link = directory + "\\link";
    ASSERT_TRUE(CreateDirectoryA(directory.c_str(), nullptr));
    {
        Queue q;
        const File file("abc");
        if (!CreateHardLinkA(link.c_str(), file.name.c_str(), nullptr))
            GTEST_SKIP() << "no hard links";
        EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_EXTEND), 0);
        const int fd = _open(link.c_str(), _O_WRONLY | _O_APPEND | _O_BINARY);
        EXPECT_EQ(_write(fd, "d", 1), 1);
        _close(fd);
        EXPECT_NE(q.one().fflags & NOTE_EXTEND, 0u);
    }
    // Nothing may be open here: Wine removes no name of an open file.
    EXPECT_TRUE(DeleteFileA(link.c_str()));
    EXPECT_TRUE(RemoveDirectoryA(directory.c_str()));
}

TEST(Vnode, R170_ASleeper) {
    Queue q;
    const File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE), 0);
    std::thread other([&] {
        std::this_thread::sleep_for(milliseconds(50));
        file.write("d");
    });
    EXPECT_NE(q.one().fflags & NOTE_WRITE, 0u);
    other.join();
}

TEST(Vnode, R193_ClosedWhileItIsWatched) {
    Queue q;
    File file("abc");
    EXPECT_EQ(q.change(file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, kAll), 0);
    _close(file.fd);
    // Now the number belongs to another file, in the same directory.
    const File second("de");
    file.fd = -1;
    second.write("x");
    q.expect_none(milliseconds(250));
}

TEST(Vnode, R182_DirectoryEntries) {
    Queue q;
    const std::string name = temporary_name("directory");
    ASSERT_TRUE(CreateDirectoryA(name.c_str(), nullptr));
    void* handle = CreateFileA(name.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE,
                               nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
    ASSERT_NE(handle, INVALID_HANDLE_VALUE);
    const int fd = _open_osfhandle(reinterpret_cast<intptr_t>(handle), 0);
    EXPECT_EQ(q.change(fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE), 0);
    EXPECT_EQ(q.change(fd, EVFILT_READ, EV_ADD), EINVAL);
    q.expect_none(milliseconds(50));
    const std::string entry = name + "\\entry";
    _close(_open(entry.c_str(), _O_CREAT | _O_RDWR, 0600));
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_WRITE});
    EXPECT_TRUE(DeleteFileA(entry.c_str()));
    EXPECT_EQ(q.one().fflags, unsigned{NOTE_WRITE});
    _close(fd);
    RemoveDirectoryA(name.c_str());
}

TEST(Vnode, R62_NoFile) {
    Queue q;
    const Pipe pipe;
    const Pair pair;
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_VNODE, EV_ADD, kAll), EINVAL);
    EXPECT_EQ(q.change(pair.a, EVFILT_VNODE, EV_ADD, kAll), EINVAL);
}

TEST(Vnode, R144_ASleeperAtTheEndOfAFile) {
    Queue q;
    const File file("abc");
    _lseek(file.fd, 0, SEEK_END);
    EXPECT_EQ(q.change(file.fd, EVFILT_READ, EV_ADD), 0);
    std::thread other([&] {
        std::this_thread::sleep_for(milliseconds(50));
        const int fd = _open(file.name.c_str(), _O_WRONLY | _O_APPEND | _O_BINARY);
        EXPECT_EQ(_write(fd, "de", 2), 2);
        _close(fd);
    });
    EXPECT_EQ(q.one().data, 2);
    other.join();
}

}  // namespace
}  // namespace kqtest
