// SPDX-License-Identifier: BSD-2-Clause
// Many knotes of one filter in one kqueue, and the single operations that are measured among them.
// Made and used by ops_bench.cc alone, in one thread.
#ifndef KQBENCH_POPULATION_H
#define KQBENCH_POPULATION_H

#include <memory>
#include <span>
#include <string>

#include "queues.h"

namespace kqbench {

// Which operation is done to which knote: `present` ones are numbered from 0 to size(), `spare`
// ones, which are not in the kqueue but between add() and remove(), from 0 to spares().
class Population {
  public:
    static constexpr int kSpares = 64;

    explicit Population(int size) : size_(size) {}
    Population(const Population&) = delete;
    virtual ~Population() = default;

    int size() const { return size_; }
    virtual int present() const { return size_; }  // that can be modified and fired
    virtual int spares() const { return kSpares; }
    double heap_per_knote() const { return heap_per_knote_; }

    // To be called once, before the others: adds all that are present.
    void fill();

    virtual void add(int spare) = 0;
    virtual void remove(int spare) = 0;
    virtual void modify(int i) = 0;  // EV_ADD of what is there, with something changed

    // prepare() makes the i-th ready, fire() obtains one event, of any that was prepared; finish()
    // makes the i-th idle again, and present if it is no longer.
    virtual void prepare(int) {}
    virtual void fire(int) = 0;
    virtual void finish(int) {}

    // Takes all events there are.
    virtual void drain() = 0;

  protected:
    virtual void add_present(int i) = 0;

    unsigned turn() { return turn_++; }  // to make each modify() differ from the last

  private:
    int size_;
    double heap_per_knote_ = 0;
    unsigned turn_ = 0;
};

// What can be populated. `obstacle` says why this process cannot have so many; empty if it can.
struct Filter {
    const char* name;
    int most;   // knotes to measure with
    bool dear;  // what is fired must be made anew each time, which takes long: few are measured
    std::string (*obstacle)(int size);
    std::unique_ptr<Population> (*make)(int size);
};

std::span<const Filter> filters();

}  // namespace kqbench

#endif
