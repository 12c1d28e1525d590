// SPDX-License-Identifier: BSD-2-Clause
// Programs on the library and the real system. real.cc and real_windows.cc have what differs from
// system to system; real_calls.cc has what is the same everywhere.
#ifndef KQMODEL_REAL_H
#define KQMODEL_REAL_H

#include <memory>

#include "model/subject.h"

struct kevent;

namespace kqmodel {

Traits real_traits();
std::unique_ptr<Subject> make_real();

// kevent() itself, on queues of its own. What the slots are is for others to say.
class RealCalls : public Subject {
  public:
    RealCalls();
    ~RealCalls() override;

    Outcome kevent(const Step& call, Wait wait) override;
    void renew(int queue) override;
    Now now() override;
    void advance(Nanos) override {}

  protected:
    [[nodiscard]] int queue(int index) const { return queues_[index]; }
    // The number of a slot: of one that is closed, a number that is not open.
    [[nodiscard]] virtual int number_of(int slot) const = 0;
    // The slot that has, or had, this number; -1: none.
    [[nodiscard]] virtual int slot_of(int number) const = 0;

  private:
    [[nodiscard]] struct ::kevent to_kevent(const Entry& entry) const;
    [[nodiscard]] Entry from_kevent(const struct ::kevent& kev) const;

    int queues_[kQueues] = {-1, -1};
};

}  // namespace kqmodel

#endif
