// SPDX-License-Identifier: BSD-2-Clause
// usage: kq_exit <mode>. The program calls exit() while the library is in use. It must end with
// status 0, and the library must work until the last destructor of the program has run.
#include <pthread.h>
#include <signal.h>
#include <sys/event.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int checks_wanted = 0;
int checks_made = 0;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
    ::_exit(1);
}

// Constructed first, so it is destroyed last.
struct Verdict {
    ~Verdict() {
        if (checks_made == checks_wanted) return;
        std::fprintf(stderr, "%d checks of %d were made\n", checks_made, checks_wanted);
        ::_exit(2);
    }
} verdict;

int new_queue() {
    const int kq = ::kqueue();
    if (kq < 0) fail("kqueue");
    return kq;
}

// Makes one change, which must give one event at once.
void expect_event(int kq, uintptr_t ident, int filter, unsigned fflags) {
    struct kevent event {};
    EV_SET(&event, ident, static_cast<short>(filter), EV_ADD | EV_ONESHOT, fflags, 0, nullptr);
    const struct timespec limit { 20, 0 };
    if (::kevent(kq, &event, 1, &event, 1, &limit) != 1 || event.ident != ident) fail("kevent");
}

void use(int kq) {
    expect_event(kq, 1, EVFILT_USER, NOTE_TRIGGER);
    expect_event(kq, 2, EVFILT_TIMER, 0);
    checks_made++;
}

void use_new_queue() {
    const int kq = new_queue();
    use(kq);
    if (::close(kq) != 0) fail("close");
}

// An object of the program that has a kqueue until its destruction.
struct User {
    int kq = -1;
    bool wanted = false;
    void want() {
        wanted = true;
        checks_wanted += 2;
    }
    ~User() {
        if (!wanted) return;
        if (kq < 0) kq = new_queue();
        use(kq);
        if (::close(kq) != 0) fail("close");
        use_new_queue();
    }
};

// Constructed before main(), so before the first use of the library.
User idle_until_the_end;
User early;

int shared_queue = -1;

void* sleep_in_kevent(void* timeout) {
    struct kevent event {};
    const auto* limit = static_cast<const struct timespec*>(timeout);
    for (;;)
        ::kevent(shared_queue, nullptr, 0, &event, 1, limit);
    return nullptr;
}

void* be_busy(void*) {
    for (uintptr_t i = 100;; i = i < 200 ? i + 1 : 100) {
        struct kevent event {};
        const struct timespec none {};
        EV_SET(&event, i, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, 0, nullptr);
        ::kevent(shared_queue, &event, 1, &event, 1, &none);
        EV_SET(&event, i, EVFILT_USER, EV_DELETE, 0, 0, nullptr);
        ::kevent(shared_queue, &event, 1, nullptr, 0, nullptr);
        const int kq = ::kqueue();
        if (kq >= 0) ::close(kq);
    }
    return nullptr;
}

void start_threads(int count, void* (*body)(void*), void* argument) {
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (::pthread_create(&thread, nullptr, body, argument) != 0) fail("pthread_create");
        ::pthread_detach(thread);
    }
    ::usleep(50'000);  // most of them sleep now; nothing depends on it
}

void in_atexit() {
    use(shared_queue);
    use_new_queue();
}

void raise_in_atexit() {
    if (::raise(SIGUSR1) != 0) fail("raise");
    struct kevent event {};
    const struct timespec limit { 20, 0 };
    if (::kevent(shared_queue, nullptr, 0, &event, 1, &limit) != 1 || event.filter != EVFILT_SIGNAL)
        fail("EVFILT_SIGNAL");
    checks_made++;
}

void want_statics() {
    early.kq = new_queue();
    early.want();
    idle_until_the_end.want();
    static User late;  // constructed after the first use: destroyed before the library's objects
    late.kq = new_queue();
    late.want();
}

void want_atexit() {
    ::atexit(in_atexit);
    checks_wanted += 2;
}

}  // namespace

int main(int argc, char** argv) {
    const char* mode = argc > 1 ? argv[1] : "";
    if (std::strcmp(mode, "before_use") == 0) {  // the library is not used before exit()
        early.want();
        idle_until_the_end.want();
        return 0;
    }
    if (std::strcmp(mode, "atexit_before_use") == 0) want_atexit();
    shared_queue = new_queue();
    if (std::strcmp(mode, "statics") == 0) {
        want_statics();
    } else if (std::strcmp(mode, "atexit") == 0) {
        want_atexit();
    } else if (std::strcmp(mode, "sleepers") == 0) {
        static const struct timespec brief { 0, 1'000'000 };
        start_threads(4, sleep_in_kevent, nullptr);
        start_threads(2, sleep_in_kevent, const_cast<timespec*>(&brief));
        ::atexit(use_new_queue);
        checks_wanted++;
    } else if (std::strcmp(mode, "busy") == 0) {
        start_threads(3, be_busy, nullptr);
        want_statics();
        ::atexit(use_new_queue);
        checks_wanted++;
    } else if (std::strcmp(mode, "signals") == 0) {
        struct kevent event {};
        EV_SET(&event, SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0, nullptr);
        if (::kevent(shared_queue, &event, 1, nullptr, 0, nullptr) != 0) fail("EV_ADD");
        ::atexit(raise_in_atexit);
        checks_wanted++;
    } else if (std::strcmp(mode, "atexit_before_use") != 0) {
        return 3;
    }
    std::exit(0);
}
