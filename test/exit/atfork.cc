// SPDX-License-Identifier: BSD-2-Clause
// usage: kq_atfork prepare|parent|child one|several
// fork handlers that the program installed before its first kqueue() may use kqueues, in a
// process with one thread or several. The handler triggers a user event of a kqueue that exists (in
// the child it has none: that is the rule), and makes a kqueue. Both kqueues must work afterwards.
#include <pthread.h>
#include <sys/event.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

int queue = -1;
int made = -1;  // by the handler
bool is_child = false;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s: %s%s\n", what, std::strerror(errno), is_child ? " (child)" : "");
    ::_exit(1);
}

int change(int kq, int flags, unsigned fflags) {
    struct kevent event {};
    EV_SET(&event, 7, EVFILT_USER, static_cast<unsigned short>(flags), fflags, 0, nullptr);
    return ::kevent(kq, &event, 1, nullptr, 0, nullptr);
}

void expect_event(int kq) {
    struct kevent event {};
    const struct timespec limit { 20, 0 };
    if (::kevent(kq, nullptr, 0, &event, 1, &limit) != 1 || event.ident != 7) fail("an event");
}

void use() {
    const int result = change(queue, 0, NOTE_TRIGGER);
    if (is_child ? result != -1 || errno != EBADF : result != 0) fail("kevent() in the handler");
    made = ::kqueue();
    if (made < 0 || change(made, EV_ADD, NOTE_TRIGGER) != 0) fail("kqueue() in the handler");
}

void use_in_child() {
    is_child = true;
    use();
}

void* sleep_for_ever(void*) {
    for (;;)
        ::pause();
    return nullptr;
}

// A new kqueue, and the one that the handler made.
void expect_use() {
    const int kq = ::kqueue();
    if (kq < 0 || change(kq, EV_ADD, NOTE_TRIGGER) != 0) fail("kqueue");
    expect_event(kq);
    if (::close(kq) != 0) fail("close");
    if (made >= 0) expect_event(made);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 3;
    const std::string where = argv[1];
    const bool in_prepare = where == "prepare";
    const bool in_parent = where == "parent";
    const bool in_child = where == "child";
    if (::pthread_atfork(in_prepare ? use : nullptr, in_parent ? use : nullptr,
                         in_child ? use_in_child : nullptr) != 0)
        fail("pthread_atfork");
    queue = ::kqueue();
    if (queue < 0 || change(queue, EV_ADD | EV_CLEAR, 0) != 0) fail("kqueue");
    if (std::strcmp(argv[2], "several") == 0) {
        pthread_t thread;
        if (::pthread_create(&thread, nullptr, sleep_for_ever, nullptr) != 0) fail("a thread");
    }
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        is_child = true;
        ::alarm(20);
        if (!in_child) made = -1;  // the parent's, which is not inherited
        expect_use();
        ::_exit(0);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child) fail("waitpid");
    if (status != 0) fail("the child");
    if (!in_child) expect_event(queue);
    expect_use();
    return 0;
}
