// Random programs: a small model of what kevent() promises, a kqueue beside it,
// and a player that does the same to both. Used by random_test.cc.
#ifndef KQ_SIM_PROGRAM_H
#define KQ_SIM_PROGRAM_H

#include <map>
#include <random>
#include <set>
#include <utility>

#include "sim_test.h"

namespace sim {

// What the model knows of a knote.
struct Model {
    bool disabled = false;
    unsigned flags = 0;      // its nature: EV_CLEAR, EV_ONESHOT, EV_DISPATCH
    bool news = false;       // descriptors with EV_CLEAR: something happened since the last report
    bool triggered = false;  // USER
    Nanos due = 0;           // TIMER
    Nanos period = 0;

    [[nodiscard]] bool has(unsigned flag) const { return (flags & flag) != 0; }
};

// Plays one program, checking every answer and, after each call that had room
// to spare, that all that had to be reported was.
class Program {
  public:
    // `orderly`: knotes are deleted before their descriptor is closed.
    Program(uint64_t seed, bool orderly);
    void step();
    // Everything is closed; the kernel has nothing of ours any more.
    void finish();

  private:
    using Key = std::pair<int, int>;  // filter, ident

    unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
    Key random_key();
    void add();
    void manage();
    void change_world();
    void reopen(int fd);
    void wait();
    void apply(const Key& key, unsigned flags, unsigned fflags, intptr_t data, Errno expected);
    void able(const Key& key, unsigned flag);
    void reported(const struct kevent& event);
    void check_complete(const Kevents& events);

    [[nodiscard]] static bool is_descriptor(const Key& key) {
        return key.first == EVFILT_READ || key.first == EVFILT_WRITE;
    }
    // Whether the condition of a knote holds now, reported before or not.
    [[nodiscard]] bool holds(const Key& key, const Model& model) const;
    void news(int filter, int fd);
    void start_timer(Model& model);

    std::mt19937_64 random_;
    bool orderly_;
    Queue queue_;
    std::map<Key, Model> knotes_;
    std::set<Key> stale_;  // closed with their numbers, which are open again
    std::vector<int> fds_;
};

}  // namespace sim

#endif
