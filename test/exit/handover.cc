// SPDX-License-Identifier: BSD-2-Clause
// the child of fork() gets a copy of a kqueue (KQUEUE_CPONFORK). After the library has
// prepared the copy, but before the fork, the number of the kqueue or of a descriptor that it
// watches becomes another file. Another thread may do that at any time. Here a fork handler does
// it: it was installed before those of the library, so it runs after them. The child must leave the
// other file alone, and must not watch it.
#include <fcntl.h>
#include <pthread.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace {

int number = -1;  // becomes another file
int other = -1;   // that file

void give_away() {
    if (number >= 0 && ::dup2(other, number) != number) ::_exit(2);
}

// Before the constructor of the library, which is linked statically.
[[gnu::constructor(101)]] void install() {
    if (::pthread_atfork(give_away, nullptr, nullptr) != 0) ::_exit(3);
}

int change(int kq, int ident, int filter, unsigned fflags) {
    struct kevent event {};
    EV_SET(&event, static_cast<uintptr_t>(ident), static_cast<short>(filter), EV_ADD, fflags, 0,
           nullptr);
    return ::kevent(kq, &event, 1, nullptr, 0, nullptr);
}

bool is_other(int fd) {
    struct stat one {};
    struct stat two {};
    return ::fstat(fd, &one) == 0 && ::fstat(other, &two) == 0 && one.st_ino == two.st_ino &&
           one.st_dev == two.st_dev;
}

// Whether `body` answers true in a child.
template <class Body>
bool holds_in_child(Body body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body() ? 0 : 1);
    int status = -1;
    number = -1;
    return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

bool the_kqueue() {
    const int kq = ::kqueuex(KQUEUE_CPONFORK);
    if (kq < 0 || change(kq, 1, EVFILT_USER, NOTE_TRIGGER) != 0) return false;
    number = kq;
    return holds_in_child([kq] { return is_other(kq); });
}

bool a_watched_descriptor() {
    const int kq = ::kqueuex(KQUEUE_CPONFORK);
    int watched[2];
    if (kq < 0 || ::pipe(watched) != 0 || change(kq, watched[0], EVFILT_READ, 0) != 0) return false;
    number = watched[0];
    return holds_in_child([kq] {
        struct kevent event {};
        const struct timespec soon { 0, 50'000'000 };
        return ::kevent(kq, nullptr, 0, &event, 1, &soon) == 0;
    });
}

}  // namespace

int main() {
    int readable[2];
    if (::pipe(readable) != 0 || ::write(readable[1], "abc", 3) != 3) return 4;
    other = readable[0];
    const bool first = the_kqueue();
    const bool second = a_watched_descriptor();
    std::printf("the kqueue: %s, a watched descriptor: %s\n", first ? "ok" : "wrong",
                second ? "ok" : "wrong");
    return first && second ? 0 : 1;
}
