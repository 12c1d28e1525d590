// SPDX-License-Identifier: BSD-2-Clause
// Processes: the children of this process, whose exits kqueues wait for.
//
// SIGCHLD says that children have changed, and names one of them. Signals that come while one is
// pending are lost. So the handler (a second listener beside the signal hub, see dispositions.h)
// leaves hints in a few cells, and rings the kqueues that wait. The thread that collects first
// looks at the children that were named. A little later it asks whether there are any zombies. If
// there are, a signal may not have named them, and all children are looked at. If not, the children
// are looked at in small portions, because the program may have reaped one that was not named.
// Looks take a twentieth of the time at most. This code reaps no child, does not block SIGCHLD, and
// has no thread. The program's own handler runs.
//
// One registry for the process. Lock: its own, taken with a kqueue's mutex held. The signal hub's
// lock is taken under it. The handler takes none.
#ifndef KQ_POSIX_CHILDREN_H
#define KQ_POSIX_CHILDREN_H

#include "bells.h"
#include "platform.h"

namespace kq {

namespace children {

struct Watch;

// Whether some kqueue waits for children. Any thread.
bool anybody_waits();

}  // namespace children

// What one kqueue waits for. Lock: the kqueue's mutex.
class Children {
  public:
    Children() = default;
    Children(const Children&) = delete;
    Children& operator=(const Children&) = delete;
    ~Children() = default;

    // As Backend::watch_process(); unimplemented: the process is not our child.
    Errno watch(int32_t pid, Handle handle, Bell& bell, ProcessFacts& facts);
    void unwatch(ProcessFacts& facts);

    // Looks at the children that are due. Rings the kqueues concerned, this one included.
    void look(Nanos t) const;
    // The same, and collects the exits that were not told yet.
    size_t collect(std::span<Wakeup> out, Nanos t);
    // Whether exits are left because there was no room. Their ring may have been heard already.
    [[nodiscard]] bool has_news() const;
    // When to collect() again if nothing else happens.
    [[nodiscard]] Nanos next_look() const;
    [[nodiscard]] bool are_watched() const { return watched_.load() > 0; }

    static void abandon_in_child();

  private:
    friend struct children::Watch;
    // The kqueue has one watch more, or one less. Under the registry's lock.
    void begin_to_hear(Bell& bell);
    void end_of_one();

    std::atomic<int> watched_{0};
    Bell* bell_ = nullptr;
    children::Watch* news_ = nullptr;  // exits that were not told yet; under the registry's lock
};

}  // namespace kq

#endif
