// SPDX-License-Identifier: BSD-2-Clause
// The simulated system: open files and their numbers, a clock, a script, faults.
//
// There is one World for the whole program. Each test first makes a new one with
// A test plays the outside world. It can feed() a file, close() a number, advance() the clock, or
// let at() do such things at a certain moment while the code under test sleeps. The only thread is
// that of the test.
#ifndef KQ_SIM_WORLD_H
#define KQ_SIM_WORLD_H

#include <climits>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "platform.h"

namespace kq {
class Backend;
}  // namespace kq

namespace sim {

using kq::Clock;
using kq::Direction;
using kq::Errno;
using kq::FdKind;
using kq::kForever;
using kq::kMillisecond;
using kq::kSecond;
using kq::Nanos;

// An open file. Several numbers may share it (dup). It ends when the last number is closed.
struct OpenFile {
    uint64_t serial = 0;  // never used twice
    FdKind kind = FdKind::unix_stream;
    int numbers = 0;               // how many numbers name it
    int64_t readable = 0;          // bytes to be read
    int64_t space = 0;             // free bytes to write into
    int64_t low_space = 1;         // the kernel calls it writable if it has so much space
    bool eof = false;              // the peer sends no more
    bool hangup = false;           // both directions are closed
    uint32_t error = 0;            // of the connection; comes with eof
    bool lies = false;             // the kernel always calls it ready for both
    bool untold = false;           // no kernel reports when it becomes active
    int64_t size = 0;              // of a regular file
    int64_t offset = 0;            // likewise; moving it is not reported
    uint64_t links = 1;            // likewise
    uint32_t mode = 0644;          // likewise
    uint64_t name = 1;             // likewise
    Nanos modified = 0;            // when it was written to
    Nanos changed = 0;             // when anything in it changed
    uint32_t identity = 0;         // of the file that is open
    kq::Backend* queue = nullptr;  // for a kqueue's descriptor
};

// A process. Its number finds it until it is reaped. Its serial finds it for ever.
struct Process {
    uint64_t serial = 0;
    int32_t pid = 0;
    bool exited = false;
    bool reaped = false;
    bool known = true;  // whether we can know its status before it is reaped
    int status = 0;
};

// How often the backend was used. Tests check these counts.
struct Counts {
    int watch = 0;         // Backend::watch()
    int control = 0;       // the changes in the kernel that these calls made
    int still = 0;         // Backend::still(), also within watch()
    int collect = 0;       // Backend::collect()
    int sleep = 0;         // Backend::sleep()
    int pause = 0;         // Backend::pause()
    int ring = 0;          // Announce::ring
    int hold = 0;          // Announce::hold and release
    int set_deadline = 0;  // deadlines that the kernel had to be given
    int poll = 0;          // descriptor::poll()
};

// Places where the system may refuse.
enum class Fault : uint8_t {
    open,
    add,
    modify,
    remove,
    prepare_clock,
    watch_file,
    collect,
    watch_process,
    listen,
    count
};

class World {
  public:
    // ---- descriptors ----

    // A new open file at the lowest free number, or at `fd`.
    int open(FdKind kind, int fd = -1);
    int dup(int fd, int other = -1);  // the lowest free number, or `other`
    void close(int fd);
    // The file behind an open number.
    OpenFile& file(int fd);
    OpenFile* find(int fd);
    OpenFile* find_serial(uint64_t serial);

    // Changes of a file that a kernel sees, and reports to queues that watch the file.
    void feed(int fd, int64_t bytes);      // more bytes to read, or fewer if < 0
    void room(int fd, int64_t bytes);      // more space to write, or less if < 0
    void end(int fd, uint32_t error = 0);  // the peer is gone
    void grow(int fd, int64_t bytes);      // a regular file
    // The test has changed a file, as these FileChange bits say. Sets the file's times, and reports
    // the change to queues that want to know.
    void changed(int fd, uint32_t changes);
    // Reports to all kernel queues that something happened to a file.
    void poke(const OpenFile& file, uint8_t directions);

    // The Ready bits of a direction now.
    uint16_t ready(int fd, Direction direction);
    uint16_t ready(const OpenFile& file, Direction direction);

    // ---- time and script ----

    [[nodiscard]] Nanos now(Clock clock) const { return monotonic_ + offset_[index(clock)]; }
    void advance(Nanos by) { monotonic_ += by; }
    // Runs `action` when `after` has passed, in a sleep or in run_due().
    void at(Nanos after, std::function<void()> action);
    void run_due();
    // The next sleep() ends at once, by a signal or without a reason.
    void interrupt() { interrupted_ = true; }
    void wake() { stray_wake_ = true; }
    // Backend::sleep() for `queue`.
    Errno sleep(const kq::Backend& queue, Nanos t);
    Errno pause(Nanos t);

    // ---- processes ----

    Process& start(int32_t pid);
    Process* find_process(int32_t pid);  // null if it was reaped
    Process* find_process_serial(uint64_t serial);
    void exit(int32_t pid, int status);
    void reap(int32_t pid);
    // The listener gets this news, if there is a listener.
    void announce(kq::ProcessNews::What what, int32_t pid, int32_t arg = 0);
    std::deque<kq::ProcessNews> news;
    bool listening = false;
    bool overflowed = false;  // the next hear() says that news were lost

    // ---- faults ----

    // From now on the `nth` use of a place fails, `times` times in a row.
    void fail(Fault fault, Errno error, int nth = 1, int times = 1);
    Errno use(Fault fault);

    // ---- kernel queues ----
    std::set<kq::Backend*> queues;
    bool single_threaded = true;
    bool one_shot = false;     // sources are silent after a report until they are armed again
    bool share_lanes = false;  // two directions by level come in one wakeup, as with epoll
    Counts counts;
    Nanos shortest_sleep = kForever;  // the shortest time that was asked for

  private:
    struct Plan {
        Errno error = Errno::ok;
        int skip = 0;
        int left = 0;
    };
    static size_t index(Clock clock) { return static_cast<size_t>(clock); }

    std::map<int, std::shared_ptr<OpenFile>> table_;
    std::map<uint64_t, Process> processes_;
    uint64_t serials_ = 0;
    Nanos ticks_ = 0;  // of the clock that stamps files
    Nanos monotonic_ = 1000 * kSecond;
    Nanos offset_[kq::kClocks] = {0, 1'700'000'000 * kSecond};
    std::multimap<Nanos, std::function<void()>> script_;
    bool interrupted_ = false;
    bool stray_wake_ = false;
    Plan plans_[static_cast<size_t>(Fault::count)];
};

World& world();
void reset();

}  // namespace sim

#endif
