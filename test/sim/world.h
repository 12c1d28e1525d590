// SPDX-License-Identifier: BSD-2-Clause
// The simulated system: open files and their numbers, a clock, a script, faults.
//
// One for the whole program; sim::reset() makes a new one, which each test does
// first. A test plays the outside world by changing it: feed() a file, close()
// a number, advance() the clock, or have that done at a moment while the code
// under test sleeps. No thread but the test's own.
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

// An open file. Numbers share it (dup); it ends with the last of them.
struct OpenFile {
    uint64_t serial = 0;  // never used twice
    FdKind kind = FdKind::unix_stream;
    int numbers = 0;               // how many name it
    int64_t readable = 0;          // bytes to be read
    int64_t space = 0;             // free bytes to write into
    int64_t low_space = 1;         // the kernel calls it writable from here on
    bool eof = false;              // the peer sends no more
    bool hangup = false;           // both directions are closed
    uint32_t error = 0;            // of the connection, with eof
    bool lies = false;             // the kernel calls it ready for both, whatever it has
    bool untold = false;           // no kernel tells when what is not active becomes so
    int64_t size = 0;              // of a regular file
    int64_t offset = 0;            // likewise; moving it is not reported
    uint64_t links = 1;            // likewise
    uint32_t mode = 0644;          // likewise
    uint64_t name = 1;             // likewise
    Nanos modified = 0;            // when it was written to
    Nanos changed = 0;             // when anything of it changed
    uint32_t identity = 0;         // of the file behind it
    kq::Backend* queue = nullptr;  // of a kqueue's descriptor
};

// A process. It is found by its number until it is reaped, and for ever by its serial.
struct Process {
    uint64_t serial = 0;
    int32_t pid = 0;
    bool exited = false;
    bool reaped = false;
    bool known = true;  // how it exited, to us, before it is reaped
    int status = 0;
};

// What a test wants to know of how the backend was used.
struct Counts {
    int watch = 0;         // Backend::watch()
    int control = 0;       // changes of the kernel's interest it came to
    int still = 0;         // Backend::still(), and for the same reason within watch()
    int collect = 0;       // Backend::collect()
    int sleep = 0;         // Backend::sleep()
    int pause = 0;         // Backend::pause()
    int ring = 0;          // Announce::ring
    int hold = 0;          // Announce::hold and release
    int set_deadline = 0;  // those that had to be told to the kernel
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

    // Changes of a file that a kernel sees, and reports to those who watch.
    void feed(int fd, int64_t bytes);      // more to read, or with < 0 less
    void room(int fd, int64_t bytes);      // more space to write, or less
    void end(int fd, uint32_t error = 0);  // the peer is gone
    void grow(int fd, int64_t bytes);      // a regular file
    // A change of a file that the test has made, in FileChange bits: sets its times,
    // and tells those who want to know.
    void changed(int fd, uint32_t changes);
    // Tells all kernel queues that something happened to a file.
    void poke(const OpenFile& file, uint8_t directions);

    // The Ready bits of a direction now.
    uint16_t ready(int fd, Direction direction);
    uint16_t ready(const OpenFile& file, Direction direction);

    // ---- time and script ----

    [[nodiscard]] Nanos now(Clock clock) const { return monotonic_ + offset_[index(clock)]; }
    void advance(Nanos by) { monotonic_ += by; }
    // What happens `after` from now, while somebody sleeps or calls run_due().
    void at(Nanos after, std::function<void()> action);
    void run_due();
    // The next sleep() ends at once: a signal, or for no reason at all.
    void interrupt() { interrupted_ = true; }
    void wake() { stray_wake_ = true; }
    // Backend::sleep() for `queue`.
    Errno sleep(const kq::Backend& queue, Nanos t);
    Errno pause(Nanos t);

    // ---- processes ----

    Process& start(int32_t pid);
    Process* find_process(int32_t pid);  // not reaped
    Process* find_process_serial(uint64_t serial);
    void exit(int32_t pid, int status);
    void reap(int32_t pid);
    // The listener hears it, if there is one.
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
    Nanos shortest_sleep = kForever;  // that was asked for

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
    Nanos ticks_ = 0;  // of the clock that files are stamped with
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
