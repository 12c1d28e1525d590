// SPDX-License-Identifier: BSD-2-Clause
// A program in C++. It checks the header in this language, and an exception that passes over calls.
#include <kqueue/signal.h>
#include <sys/event.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

class Loop {
  public:
    Loop() : kq_(::kqueue1(0)) {
        if (kq_ < 0) throw std::runtime_error("kqueue1");
    }
    ~Loop() { ::close(kq_); }

    void on(uintptr_t ident, short filter, intptr_t data, std::function<void()>* handler) {
        struct kevent change;
        EV_SET(&change, ident, filter, EV_ADD | EV_ONESHOT, 0, data, handler);
        if (::kevent(kq_, &change, 1, nullptr, 0, nullptr) != 0)
            throw std::runtime_error("kevent: " + std::to_string(ident));
    }
    void run_once() {
        std::vector<struct kevent> events(8);
        const int n = ::kevent(kq_, nullptr, 0, events.data(), 8, nullptr);
        for (int i = 0; i < n; i++)
            (*static_cast<std::function<void()>*>(events[static_cast<size_t>(i)].udata))();
    }

  private:
    int kq_;
};

}  // namespace

int main() try {
    Loop loop;
    bool ran = false;
    std::function<void()> handler = [&] { ran = true; };
    loop.on(1, EVFILT_TIMER, 1, &handler);
    loop.run_once();
    bool caught = false;
    std::function<void()> thrower = [] { throw std::logic_error("from a handler"); };
    loop.on(2, EVFILT_TIMER, 1, &thrower);
    try {
        loop.run_once();
    } catch (const std::logic_error&) {
        caught = true;
    }
    if (!ran || !caught) return 1;
    std::puts("consumer ok");
    return 0;
} catch (const std::exception& e) {
    std::perror(e.what());
    return 2;
}
