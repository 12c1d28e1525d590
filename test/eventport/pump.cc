// SPDX-License-Identifier: BSD-2-Clause
// A thread that harvests a port soon after one of its sources has news. In the child of fork(), and
// with the knob pump=0, there is no such thread. News then waits for the next call, and is not
// lost. But a change that is undone before that call is not reported. The real kernel would report
// it.
#include <pthread.h>
#include <sys/syscall.h>

#include <atomic>

#include "knobs.h"
#include "model.h"

namespace eventport {

namespace {

enum { kNotTried, kTried, kRuns };
std::atomic<int> progress{kNotTried};
int sources = -1;  // an epoll set of all descriptors that ports watch, edge-triggered

void pump(uint64_t data) {
    const uint32_t index = static_cast<uint32_t>(data);
    switch (static_cast<Tag>(data >> 60)) {
        case Tag::light:
            break;
        case Tag::fd:
            for (FdWatch* w = state.watches_of[index]; w != nullptr; w = w->next_of_fd)
                if (!w->port->foreign) harvest(*w->port);
            break;
        case Tag::timer: {
            Timer* timer = state.timers.at(index);
            if (timer->used && timer->heard) harvest(*timer->port);
            break;
        }
        case Tag::notify: {
            Port* port = index < static_cast<uint32_t>(kMaxFd) ? state.port_of[index] : nullptr;
            if (port != nullptr && !port->foreign) harvest(*port);
            break;
        }
    }
}

void* run(void*) {
    (void)::pthread_setname_np(::pthread_self(), "eventport");
    constexpr int kBatch = 64;
    static epoll_event list[kBatch];
    for (;;) {
        const int n = epoll_collect(sources, list, kBatch, -1);
        const Guard guard;
        if (!knobs.pump) continue;
        for (int i = 0; i < n; i++)
            pump(list[i].data.u64);
    }
}

}  // namespace

void start_pump() {
    int expected = kNotTried;
    if (progress != kNotTried || state.forks > 0) return;
    {
        const Guard guard;
        if (!knobs.pump || !progress.compare_exchange_strong(expected, kTried)) return;
        sources = hide(static_cast<int>(sys(SYS_epoll_create1, EPOLL_CLOEXEC)));
        if (sources < 0) return;
    }
    sigset_t before;
    block_signals(before);
    pthread_attr_t attributes;
    (void)::pthread_attr_init(&attributes);
    (void)::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)::pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_t thread;
    if (::pthread_create(&thread, &attributes, run, nullptr) == 0) progress = kRuns;
    (void)::pthread_attr_destroy(&attributes);
    restore_signals(before);
}

bool is_pumping() {
    return progress == kRuns && knobs.pump;
}

void pump_watch(int fd, Tag tag, uint32_t index) {
    if (sources < 0) return;
    constexpr uint32_t kAll = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
    // epoll refuses a descriptor that is in the set already, or that is always ready.
    (void)epoll_change(sources, EPOLL_CTL_ADD, fd, kAll, make_data(tag, index, 0));
}

void pump_unwatch(int fd) {
    if (sources >= 0) (void)epoll_change(sources, EPOLL_CTL_DEL, fd, 0, 0);
}

void forget_pump() {
    sources = -1;
    progress = kTried;
}

}  // namespace eventport
