// Processes: the children of this process, whose exits kqueues wait for.
//
// SIGCHLD says that children have changed, and of one of them which; signals that come
// while one is pending are lost. So the handler (a second listener beside the signal hub,
// see dispositions.h) leaves what it was told in a few cells and rings the kqueues that
// wait; whoever collects first looks at the children that were named. A little later it is
// asked whether there are zombies at all: if there are, some may have come unnamed, and
// all are looked at; if not, those are looked at in small portions, for the sake of one
// that was reaped by the program unnamed. Looking takes a twentieth of the time at most.
// Nothing here reaps, nothing blocks SIGCHLD, the program's own handler runs, and there
// is no thread.
//
// One registry for the process. Lock: its own, taken with a kqueue's mutex held; the signal
// hub's is taken under it. The handler takes none.
#ifndef KQ_POSIX_CHILDREN_H
#define KQ_POSIX_CHILDREN_H

#include "doorbell.h"
#include "platform.h"

namespace kq {

namespace children {

struct Watch;

// Whether some kqueue waits for children. Any thread.
bool anybody_waits();

}  // namespace children

// What one kqueue waits for. The kqueue's mutex.
class Children {
  public:
    Children() = default;
    Children(const Children&) = delete;
    Children& operator=(const Children&) = delete;
    ~Children() = default;

    // As Backend::watch_process(); unimplemented: it is no child of ours.
    Errno watch(int32_t pid, Handle handle, Doorbell& bell, ProcessFacts& facts);
    void unwatch(ProcessFacts& facts);

    // The exits that were not told yet.
    size_t collect(std::span<Wakeup> out, Nanos t);
    // When to collect() while nothing else happens.
    [[nodiscard]] Nanos next_look() const;
    [[nodiscard]] bool are_watched() const { return watched_.load() > 0; }

    static void abandon_in_child();

  private:
    friend struct children::Watch;
    // One more, one less to be rung for. Under the registry's lock.
    void begin_to_hear(Doorbell& bell);
    void end_of_one();

    std::atomic<int> watched_{0};
    Doorbell* bell_ = nullptr;
    children::Watch* news_ = nullptr;  // exits to be told; under the registry's lock
};

}  // namespace kq

#endif
