// SPDX-License-Identifier: BSD-2-Clause
// The kernel queue of Solaris and illumos: an event port. Contract: platform.h.
//
// The public descriptor is the port. Things that the kernel knows are associated with it
// (associations.h, files). Things that only the library knows are sent to it as tokens
// (port_bell.h), at most one of each kind at a time. To wait is to take an event out of the queue:
// the event that a sleeping thread took waits in the inbox for collect(). close() of the port wakes
// the threads that sleep in it.
//
// Lock: the kqueue's mutex, except for what platform.h exempts.
#ifndef KQ_SOLARIS_BACKEND_H
#define KQ_SOLARIS_BACKEND_H

#include <atomic>

#include "../posix/children.h"
#include "../posix/open_numbers.h"
#include "associations.h"
#include "inbox.h"
#include "platform.h"
#include "port_bell.h"
#include "port_files.h"
#include "port_timer.h"
#include "sleepers.h"

namespace kq {

class Backend {
  public:
    static constexpr bool kHearsClose = true;
    // Edges are armed again by looking at them, and files are looked at.
    static constexpr bool kMaySleepFirst = false;
    static constexpr bool kTellsClosed = true;
    static const int kKqueue1Flags;
    static constexpr Capabilities kHas{.duplicates = true,
                                       .fork = true,
                                       .files = true,
                                       .processes = true,
                                       .signals = true,
                                       .urgent = true};

    Backend() = default;
    ~Backend();  // closes nothing
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Errno open(uint32_t tag);
    // Without a Kqueue it is not known to which one a port belongs.
    static constexpr bool kAdopts = false;
    static Errno adopt(int, uint32_t) { return Errno::unimplemented; }
    [[nodiscard]] static bool holds_descriptors() { return false; }
    void move_to(int descriptor);
    void close_unpublished();
    [[nodiscard]] int descriptor() const { return public_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool exists() const;

    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts);
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor, uint32_t tag) { return bells::post(descriptor, tag); }
    static bool is_queue(int descriptor) { return port_bell::tag_of(descriptor) != 0; }
    static bool is_duplicate(int descriptor, int other);
    static Result<uint32_t> tag_of(int descriptor) { return port_bell::tag_of(descriptor); }
    static Result<int> visit_open(void (*visit)(void*, int), void* context) {
        return open_numbers::visit(visit, context);
    }
    // The events were the only announcement of their sources, so everything has to be reported
    // again.
    void note_collected(std::span<const Wakeup>) { lost_.store(true); }
    static void follow(int, int) {}
    Errno hear_signals();

    static Errno prepare_clock(Clock) { return Errno::ok; }
    void settle(Nanos monotonic, Nanos realtime);

    Errno watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take_files(FileWatch::Tell tell, void* context);
    static bool files_told() { return false; }

    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& facts);
    void unwatch_process(ProcessFacts& facts) { children_.unwatch(facts); }
    static Errno hear_processes(bool) { return Errno::unimplemented; }

    void abandon_in_child();
    void abandon_all_but_number();
    static void close_number(int number);
    Errno open_at(int number, uint32_t tag);
    static bool is_out_of_reach(int32_t) { return true; }  // only children can be watched
    static void close_in_child(int descriptor);
    static void close_shared() {}
    static void lock_before_fork() {}
    static void unlock_after_fork(bool) {}

  private:
    class Answer;  // to collect()

    void collect_own(Answer& answer, Nanos t);
    Errno collect_port(Answer& answer);
    [[nodiscard]] bool is_held() const { return held_ || children_.has_news(); }
    void take_event(const port_event_t& event, Answer& answer);
    void hear(Answer& answer);
    void take_token(const port_event_t& event, Answer& answer);
    void probe(Nanos t);
    void make_good();
    void sift();
    void wake();
    [[nodiscard]] bool is_wake(const port_event_t& event) const;
    bool send(port_bell::Token token);
    void set_deadline(Clock clock, Nanos t);
    [[nodiscard]] bool is_in_transit() { return inbox_.in_transit(); }

    // backend_wait.cc
    struct Wait;
    [[nodiscard]] Nanos next_look(Nanos t) const;
    void publish_look(Nanos t) const;
    static void cancelled(void* arg);
    static void get_cancellable(Wait& wait);

    std::atomic<int> public_{-1};
    PortBell* bell_ = nullptr;
    Associations fds_;
    PortFiles files_;
    Children children_;
    PortTimer timers_[kCommonClocks] = {PortTimer(Clock::monotonic), PortTimer(Clock::realtime)};
    // Deadlines that no timer of the port reports, so that sleeping threads wait for them.
    std::atomic<Nanos> deadlines_[kCommonClocks] = {kForever, kForever};
    Nanos wanted_[kCommonClocks] = {kForever, kForever};
    std::atomic<Nanos> look_at_{kForever};  // when to look at files and children
    std::atomic<bool> hears_signals_{false};
    bool held_ = false;
    bool hold_sent_ = false;  // its token is in the queue, or was just taken out
    // The token kWake is in the port. A sleeping thread that takes it clears this.
    mutable std::atomic<bool> wake_sent_{false};
    bool sleepers_must_look_ = false;  // for blocked signals; settle() sees to it
    Nanos looked_at_ = 0;              // when collect_own() was first
    bool own_filled_ = false;          // and left no room for events of the port
    Nanos probed_at_ = 0;
    std::atomic<Nanos> probe_at_{kForever};  // when a sleeping thread has to come and ask again
    // A thread was cancelled that may have taken an event out of the queue.
    mutable std::atomic<bool> lost_{false};
    mutable Inbox<port_event_t> inbox_;
    mutable Sleepers sleepers_;
    // A thread has slept since, and only its timeout has ended that.
    mutable std::atomic<bool> only_time_passed_{false};
};

}  // namespace kq

#endif
