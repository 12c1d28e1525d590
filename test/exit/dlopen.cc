// SPDX-License-Identifier: BSD-2-Clause
// usage: kq_dlopen <libkqueue.so>. Loads the library, uses it, unloads it, and loads it again.
// Sleeping threads, handlers and kqueues must go on after dlclose().
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace {

using KqueueFunction = int (*)();
using KeventFunction = int (*)(int, const struct kevent*, int, struct kevent*, int,
                               const struct timespec*);

struct Library {
    void* handle;
    KqueueFunction kqueue;
    KeventFunction kevent;
};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s failed\n", what);
    ::_exit(1);
}

Library load(const char* path) {
    Library library{};
    library.handle = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library.handle == nullptr) fail(::dlerror());
    library.kqueue = reinterpret_cast<KqueueFunction>(::dlsym(library.handle, "kqueue"));
    library.kevent = reinterpret_cast<KeventFunction>(::dlsym(library.handle, "kevent"));
    if (library.kqueue == nullptr || library.kevent == nullptr) fail("dlsym");
    return library;
}

void change(const Library& library, int kq, uintptr_t ident, int filter, int flags, unsigned fflags,
            intptr_t data) {
    struct kevent one {};
    EV_SET(&one, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
           data, nullptr);
    if (library.kevent(kq, &one, 1, nullptr, 0, nullptr) != 0) fail("a change");
}

void expect(const Library& library, int kq, uintptr_t ident) {
    struct kevent event {};
    const struct timespec limit { 20, 0 };
    if (library.kevent(kq, nullptr, 0, &event, 1, &limit) != 1 || event.ident != ident)
        fail("an event");
}

struct Sleeper {
    Library library;
    int kq;
    uintptr_t woken_by;
};

void* sleep_in_kevent(void* argument) {
    auto* sleeper = static_cast<Sleeper*>(argument);
    struct kevent event {};
    if (sleeper->library.kevent(sleeper->kq, nullptr, 0, &event, 1, nullptr) == 1)
        sleeper->woken_by = event.ident;
    return nullptr;
}

// a fork handler in the child that was installed before the library was loaded.
Library loaded{};

void use_in_child() {
    if (loaded.handle == nullptr) return;
    const int kq = loaded.kqueue();
    if (kq < 0) fail("kqueue() in the handler");
    change(loaded, kq, 5, EVFILT_USER, EV_ADD, NOTE_TRIGGER, 0);
    expect(loaded, kq, 5);
}

void expect_fork(const Library& library) {
    loaded = library;
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        ::alarm(20);
        use_in_child();
        ::_exit(0);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0) fail("the child");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 3;
    if (::pthread_atfork(nullptr, nullptr, use_in_child) != 0) fail("pthread_atfork");
    const Library first = load(argv[1]);
    const int kq = first.kqueue();
    if (kq < 0) fail("kqueue");
    change(first, kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0);
    change(first, kq, 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1);
    expect(first, kq, 2);
    change(first, kq, SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0);

    Sleeper sleeper{first, kq, 0};
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, sleep_in_kevent, &sleeper) != 0) fail("pthread_create");
    ::usleep(50'000);
    if (::dlclose(first.handle) != 0) fail("dlclose");

    const Library second = load(argv[1]);
    change(second, kq, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0);
    ::pthread_join(thread, nullptr);
    if (sleeper.woken_by != 1) fail("waking the sleeper");
    if (::dlclose(second.handle) != 0) fail("dlclose");

    // The library's handler must run although the program has closed the library.
    ::raise(SIGUSR1);
    const Library third = load(argv[1]);
    expect(third, kq, SIGUSR1);
    expect_fork(third);
    if (::pthread_create(&thread, nullptr, sleep_in_kevent, &sleeper) != 0) fail("pthread_create");
    ::pthread_detach(thread);
    ::usleep(50'000);
    if (::dlclose(third.handle) != 0) fail("dlclose");
    std::exit(0);  // while a thread sleeps in the closed library
}
