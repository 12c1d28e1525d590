// SPDX-License-Identifier: BSD-2-Clause
// A Subject runs the programs that the model runs, too. It is the library on a real system
// (real.h), or the core of the library on the simulated kernel (test/sim/model_subject.h).
#ifndef KQMODEL_SUBJECT_H
#define KQMODEL_SUBJECT_H

#include <cerrno>

#include "model/model.h"
#include "model/program.h"

namespace kqmodel {

struct Outcome {
    int result = 0;
    int error = 0;  // errno, if result is -1
    std::vector<Entry> entries;
    std::string wrong;  // what no answer may do: written beyond its entries, ...
};

inline constexpr int kFault = ENFILE;  // which no rule gives

// One life: made for a program, with kQueues queues and all slots closed. Steps come in the words
// of the model; what cannot be done is not asked for.
class Subject {
  public:
    Subject() = default;
    Subject(const Subject&) = delete;
    virtual ~Subject() = default;

    // Wait::event gives up after a while, since what is waited for may be lost. A step with a
    // fault fails with kFault, or goes well if the system was not asked for what it refuses.
    virtual Outcome kevent(const Step& call, Wait wait) = 0;
    virtual bool readable(int queue) = 0;
    virtual void renew(int queue) = 0;
    virtual Now now() = 0;
    virtual void advance(Nanos by) = 0;

    virtual void open(Kind kind, int a, int b) = 0;  // as if by dup2()
    virtual void close(int slot) = 0;
    virtual void dup(int from, int to) = 0;
    virtual void write(int slot, int64_t count) = 0;
    virtual void read(int slot, int64_t count) = 0;
    virtual int64_t fill(int slot) = 0;  // how much it took
    virtual void shut(int slot) = 0;
    virtual void urge(int slot) = 0;  // sends a byte of urgent data (TCP)
    virtual void take(int slot) = 0;  // receives one that has come
};

}  // namespace kqmodel

#endif
