// SPDX-License-Identifier: BSD-2-Clause
// The kernel queue of the simulated system (world.h). Contract: src/platform.h.
//
// It is built like an epoll set. It has items, keyed by (open file, number), one
// for each direction, and a list of items that may have something to report. As
// with epoll, an item that was reported by level goes to the tail of that list. A
// change of a file puts its items there. Whether an item is ready is asked when it
// is collected. Closing the last number of a file removes its items. watch() of a
// number that now names another file answers no_entry.
//
// With World::one_shot it is built like event ports and completion ports: one_shot.cc.
#ifndef KQ_SIM_BACKEND_H
#define KQ_SIM_BACKEND_H

#include <list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "inbox.h"
#include "platform.h"
#include "spent_edges.h"

namespace kq {

class Backend {
  public:
    Backend();
    ~Backend();
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    // ---- the contract ----
    static constexpr bool kHearsClose = false;
    static constexpr bool kMaySleepFirst = true;
    static constexpr int kKqueue1Flags = 0;
    // Numbers of kqueues are never duplicated, and the process never forks. A closed file is never
    // reported again by this kernel queue.
#if defined(KQ_SIM_LEAST)
    static constexpr Capabilities kHas{};
#else
    static constexpr Capabilities kHas{.files = true, .processes = true, .signals = true};
#endif
    Errno open(uint32_t tag);
    void close_unpublished();
    [[nodiscard]] int descriptor() const {
        return fd_;
    }
    [[nodiscard]] bool exists() const;
    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
#if !defined(KQ_SIM_LEAST)
    // Because of this function the core takes its short ways (fd_usual.h). So the model tests
    // these, too.
    Errno watch_one(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts) {
        Interest want;
        want[d] = mode;
        return watch(fd, want, static_cast<uint8_t>(1u << static_cast<unsigned>(d)), handle, facts);
    }
#endif
    static bool reports_snapshots();
    static bool tells_once() {
        return !reports_snapshots();
    }
    static bool asks_public(const FdFacts& facts) {
        return facts.registered != 0;
    }
    Errno still(int fd, FdFacts& facts);
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor, uint32_t tag);
    static bool is_queue(int descriptor);
    Errno hear_signals() {
        return Errno::ok;
    }
    Errno prepare_clock(Clock clock);
    void settle(Nanos monotonic, Nanos realtime);
    Errno watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take_files(void (*tell)(void*, Handle, uint32_t), void* context);
    static bool files_told() {
        return false;
    }
    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& facts);
    void unwatch_process(ProcessFacts& facts);
    Errno hear_processes(bool on);

    // ---- the simulated system calls these ----
    void on_poke(uint64_t serial, uint8_t directions);
    void on_file_ended(uint64_t serial);
    // With one_shot: a number was closed, even if another number names the file.
    void on_number_closed(uint64_t serial, int fd);
    // With one_shot: a thread that sleeps must collect, although nothing is ready.
    [[nodiscard]] bool has_to_look() const;
    void on_file_changed(uint64_t serial, uint32_t changes);
    void on_process_ended(uint64_t serial);
    void on_news() {
        if (hears_) list_special(kProcesses);
    }
    // Whether poll() on the public descriptor finds it readable.
    [[nodiscard]] bool readable() const;
    // The moment (monotonic) of the next deadline that is set.
    [[nodiscard]] Nanos earliest_deadline() const;

    // ---- tests look at the queue, and disturb it ----
    // How many (number, direction) pairs the kernel has, spent ones included.
    [[nodiscard]] size_t registrations() const {
        return items_.size() - kSpecials;
    }
    [[nodiscard]] size_t process_watches() const {
        return processes_.size();
    }
    [[nodiscard]] bool hears() const {
        return hears_;
    }
    [[nodiscard]] size_t file_watches() const {
        return files_.size();
    }
    // The mode that the kernel has for a number; none if there is no item, or if the item is spent.
    [[nodiscard]] Mode mode_of(int fd, Direction direction) const;
    // The next collect() reports this, whether it is true or not.
    void inject(const Wakeup& wakeup) {
        strays_.push_back(wakeup);
    }
    // Says why the queue is readable. For the messages of failing tests.
    [[nodiscard]] std::string what_is_ready() const;
    [[nodiscard]] bool ringing() const {
        return ringing_;
    }
    [[nodiscard]] bool held() const {
        return held_;
    }

  private:
    void set_deadline(Clock clock, Nanos t);
    // Items that do not belong to a file of the user.
    enum Special : int { kRing, kHold, kMonotonic, kRealtime, kFiles, kProcesses, kSpecials };
    struct Key {
        uint64_t serial;  // 0: not a file, `fd` is a Special
        int fd;
        int direction;
        auto operator<=>(const Key&) const = default;
    };
    struct Item {
        Handle handle;
        Mode mode = Mode::none;  // none: spent
        bool listed = false;
        // With one_shot: it was reported or is posted, and is silent until it is armed again.
        bool spent = false;
        uint16_t posted = 0;  // the report: the state when it became ready
    };
    struct Report {
        Wakeup wakeup;
        uint64_t serial;
        int fd;
        int direction;
    };
    struct FileWatch {
        uint64_t serial;
        Handle handle;
        uint32_t wanted = 0;
        uint32_t changes = 0;  // not reported yet
    };
    struct ProcessWatch {
        uint64_t serial;
        Handle handle;
    };
    using Items = std::map<Key, Item>;

    Errno change(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts);
    void list(const Key& key, Item& item);
    [[nodiscard]] uint16_t ask(const Key& key, const Item& item) const;
    [[nodiscard]] bool due(Clock clock) const;
    void list_special(Special which);
    [[nodiscard]] uint16_t ask_special(int which) const;
    void heard_special(int which);
    Wakeup report(const Key& key, const Item& item, uint16_t ready) const;
    // one_shot.cc
    Errno arm(const Key& key, Item& item);
    void arm_the_spent();
    bool take_next(Report& report);
    bool note_reported(const Report& report);
    void forget_edge(int fd, int direction);
    size_t look_at_edges(std::span<Wakeup> out);
    size_t collect_one_shot(std::span<Wakeup> out);
    void dequeue_one();

    int fd_ = -1;
    uint64_t serial_ = 0;
    Items items_;
    std::list<Key> ready_;
    std::vector<Wakeup> strays_;
    bool ringing_ = false;
    bool held_ = false;
    bool prepared_[kCommonClocks] = {false, false};
    Nanos armed_[kCommonClocks] = {kForever, kForever};
    std::map<int32_t, FileWatch> files_;
    int32_t next_file_ = 0;
    std::list<ProcessWatch> processes_;
    bool hears_ = false;
    Inbox<Report> inbox_;
    SpentEdges edges_;
    std::map<std::pair<int, int>, uint64_t> edge_serials_;  // of the edges in edges_
    std::vector<Key> to_arm_;                               // reported levels: see settle()
};

}  // namespace kq

#endif
