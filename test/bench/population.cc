// SPDX-License-Identifier: BSD-2-Clause
#include "population.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <vector>

namespace kqbench {

void Population::fill() {
    const size_t before = heap_in_use();
    for (int i = 0; i < size_; i++)
        add_present(i);
    heap_per_knote_ = static_cast<double>(heap_in_use() - before) / size_;
    drain();
}

namespace {

// What all have in common that are knotes.
class Knotes : public Population {
  public:
    using Population::Population;

    void fire(int) override { take(); }
    void drain() override {
        KqQueue::Events<64> events;
        while (queue_.wait(events, 0) > 0) {
        }
    }

  protected:
    void change(uintptr_t ident, int filter, int flags, unsigned fflags = 0, intptr_t data = 0,
                unsigned mark = 0) {
        struct kevent change;
        EV_SET(&change, ident, filter, flags, fflags, data, marks_ + mark % sizeof marks_);
        must(::kevent(queue_.fd(), &change, 1, nullptr, 0, nullptr) == 0, "kevent, a change");
    }
    void take() {
        struct kevent event;
        must(::kevent(queue_.fd(), nullptr, 0, &event, 1, nullptr) == 1, "no event");
    }
    // A change and an event by one call.
    void change_and_take(uintptr_t ident, int filter, unsigned fflags) {
        struct kevent change;
        struct kevent event;
        EV_SET(&change, ident, filter, 0, fflags, 0, nullptr);
        must(::kevent(queue_.fd(), &change, 1, &event, 1, nullptr) == 1, "no event");
    }

  private:
    KqQueue queue_;
    char marks_[64] = {};  // for udata
};

// ---- descriptors: both ends of AF_UNIX socket pairs ----

class Sockets {
  public:
    explicit Sockets(int count) : pairs_(count / 2, Pairs::sockets) {}
    int operator[](int i) const {
        return i % 2 == 0 ? pairs_.read_end(i / 2) : pairs_.write_end(i / 2);
    }
    int peer(int i) const { return (*this)[i ^ 1]; }

  private:
    Pairs pairs_;
};

std::string too_many_descriptors(int size) {
    constexpr size_t kOthers = 256;
    const size_t wanted = static_cast<size_t>(size) + kOthers;
    const size_t limit = raise_file_limit(wanted);
    if (wanted <= limit) return {};
    return "needs " + std::to_string(wanted) + " descriptors, RLIMIT_NOFILE is " +
           std::to_string(limit);
}

template <int kFilter>
class OfSockets : public Knotes {
  public:
    explicit OfSockets(int size) : Knotes(size), sockets_(size + kSpares) {}

    void add(int spare) override { add_socket(size() + spare); }
    void remove(int spare) override { change(sockets_[size() + spare], kFilter, EV_DELETE); }
    void modify(int i) override { change(sockets_[i], kFilter, EV_ADD | EV_CLEAR, 0, 0, turn()); }
    // What is written to the peer arrives; what the peer reads makes room.
    void prepare(int i) override {
        if constexpr (kFilter == EVFILT_READ) {
            put_byte(sockets_.peer(i));
        } else {
            put_byte(sockets_[i]);
            take_byte(sockets_.peer(i));
        }
    }
    void finish(int i) override {
        if constexpr (kFilter == EVFILT_READ) take_byte(sockets_[i]);
    }

  protected:
    void add_present(int i) override { add_socket(i); }

  private:
    void add_socket(int i) { change(sockets_[i], kFilter, EV_ADD | EV_CLEAR); }

    Sockets sockets_;
};

// The same without the library, for scale.
class EpollRead : public Population {
  public:
    explicit EpollRead(int size) : Population(size), sockets_(size + kSpares) {}

    void add(int spare) override { add_present(size() + spare); }
    void remove(int spare) override { queue_.forget_read(sockets_[size() + spare]); }
    void modify(int i) override { queue_.control(EPOLL_CTL_MOD, sockets_[i], EPOLLIN | EPOLLET); }
    void prepare(int i) override { put_byte(sockets_.peer(i)); }
    void fire(int) override {
        RawQueue::Events<1> events;
        must(queue_.wait(events) == 1, "epoll_wait");
        (void)FairQueue::readable(events[0]);
    }
    void finish(int i) override { take_byte(sockets_[i]); }
    void drain() override {
        RawQueue::Events<64> events;
        while (queue_.wait(events, 0) > 0) {
        }
    }

  protected:
    void add_present(int i) override { queue_.watch_read(sockets_[i], Mode::edge); }

  private:
    Sockets sockets_;
    RawQueue queue_;
};

// ---- what needs no descriptor ----

std::string no_obstacle(int) {
    return {};
}

class OfTimer : public Knotes {
  public:
    using Knotes::Knotes;

    void add(int spare) override { set(size() + spare, far()); }
    void remove(int spare) override { change(size() + spare, EVFILT_TIMER, EV_DELETE); }
    void modify(int i) override { set(i, far()); }
    void prepare(int i) override { set(i, 1); }
    void finish(int i) override { set(i, far()); }

  protected:
    void add_present(int i) override { set(i, far()); }

  private:
    void set(int i, int64_t delay_ns) {
        change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS, delay_ns);
    }
    // In 1,000 to 2,000 seconds, in no order.
    int64_t far() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return 1'000'000'000'000 + static_cast<int64_t>(state_ >> 33) * 465;
    }

    uint64_t state_ = 1;
};

class OfUser : public Knotes {
  public:
    using Knotes::Knotes;

    void add(int spare) override { add_present(size() + spare); }
    void remove(int spare) override { change(size() + spare, EVFILT_USER, EV_DELETE); }
    void modify(int i) override {
        change(i, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_FFCOPY | (turn() & NOTE_FFLAGSMASK));
    }
    void fire(int i) override { change_and_take(i, EVFILT_USER, NOTE_TRIGGER); }

  protected:
    void add_present(int i) override { change(i, EVFILT_USER, EV_ADD | EV_CLEAR); }
};

// There are few signals: the others that are present are EVFILT_USER knotes.
class OfSignal : public Knotes {
  public:
    explicit OfSignal(int size) : Knotes(size) {
        for (int i = 0; i < kPresent; i++) {
            (void)::signal(number(i), SIG_IGN);
            (void)::signal(number(kPresent + i), SIG_IGN);
            change(number(i), EVFILT_SIGNAL, EV_ADD);
        }
    }

    int present() const override { return kPresent; }
    int spares() const override { return kPresent; }
    void add(int spare) override { change(number(kPresent + spare), EVFILT_SIGNAL, EV_ADD); }
    void remove(int spare) override { change(number(kPresent + spare), EVFILT_SIGNAL, EV_DELETE); }
    void modify(int i) override { change(number(i), EVFILT_SIGNAL, EV_ADD, 0, 0, turn()); }
    void fire(int i) override {
        must(::kill(::getpid(), number(i)) == 0, "kill");
        take();
    }

  protected:
    void add_present(int i) override { change(i, EVFILT_USER, EV_ADD | EV_CLEAR); }

  private:
    static constexpr int kPresent = 12;
    static int number(int i) { return SIGRTMIN + 2 + i; }
};

// ---- files and processes ----

std::string too_many_files(int size) {
    int limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_user_watches") >> limit;
    if (limit < size + 1000)
        return "needs " + std::to_string(size) + " inotify watches, max_user_watches is " +
               std::to_string(limit);
    return too_many_descriptors(size);
}

class OfVnode : public Knotes {
  public:
    explicit OfVnode(int size) : Knotes(size), files_(size + kSpares) {}

    void add(int spare) override { add_present(size() + spare); }
    void remove(int spare) override { change(files_[size() + spare], EVFILT_VNODE, EV_DELETE); }
    void modify(int i) override {
        change(files_[i], EVFILT_VNODE, EV_ADD | EV_CLEAR,
               NOTE_WRITE | (turn() % 2 == 0 ? NOTE_ATTRIB : NOTE_LINK));
    }
    void prepare(int i) override { must(::pwrite(files_[i], "x", 1, 0) == 1, "pwrite"); }

  protected:
    void add_present(int i) override {
        change(files_[i], EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    }

  private:
    TempFiles files_;
};

std::string too_many_processes(int size) {
    if (size > 10'000) return "needs " + std::to_string(size) + " processes: not attempted";
    return too_many_descriptors(size);  // the library holds one for each
}

class OfProc : public Knotes {
  public:
    // The spare children are never fired.
    explicit OfProc(int size) : Knotes(size), children_(size + kSpares) {}

    void add(int spare) override { add_present(size() + spare); }
    void remove(int spare) override { change(children_[size() + spare], EVFILT_PROC, EV_DELETE); }
    void modify(int i) override { change(children_[i], EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, turn()); }
    void prepare(int i) override { children_.end_one(i); }
    void finish(int i) override {
        children_.replace(i);
        add_present(i);
    }

  protected:
    void add_present(int i) override { change(children_[i], EVFILT_PROC, EV_ADD, NOTE_EXIT); }

  private:
    Children children_;
};

template <class P>
std::unique_ptr<Population> make(int size) {
    auto population = std::make_unique<P>(size);
    population->fill();
    return population;
}

const Filter kFilters[] = {
    {"READ", 100'000, false, too_many_descriptors, make<OfSockets<EVFILT_READ>>},
    {"WRITE", 100'000, false, too_many_descriptors, make<OfSockets<EVFILT_WRITE>>},
    {"TIMER", 1'000'000, false, no_obstacle, make<OfTimer>},
    {"USER", 1'000'000, false, no_obstacle, make<OfUser>},
    {"VNODE", 100'000, false, too_many_files, make<OfVnode>},
    {"PROC", 100'000, true, too_many_processes, make<OfProc>},
    {"SIGNAL", 100'000, false, no_obstacle, make<OfSignal>},
    {"epoll", 100'000, false, too_many_descriptors, make<EpollRead>},
};

}  // namespace

std::span<const Filter> filters() {
    return kFilters;
}

}  // namespace kqbench
