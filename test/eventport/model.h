// SPDX-License-Identifier: BSD-2-Clause
// A model of event ports: ports, their queues, and what their sources share.
//
// The descriptor of a port is an epoll descriptor. It watches
//   - each associated descriptor, with EPOLLONESHOT: armed as long as its association is;
//   - one eventfd that is always readable: watched as long as the queue is not empty;
//   - the timers of the port, and its inotify descriptor if it watches files.
// So poll() and other ports see that the port is readable, without the help of a thread. harvest()
// turns the kernel's news into events in the queue. Every call does that first. The pump (pump.cc)
// does it, too, soon after something happened. The real kernel does it at once.
//
// "Rule N" is a rule of README.md, and rules_test.cc has a test PN.
#ifndef KQ_EVENTPORT_MODEL_H
#define KQ_EVENTPORT_MODEL_H

#include <signal.h>
#include <sys/types.h>

#include <climits>
#include <cstdint>

#include "include/port.h"
#include "system.h"

namespace eventport {

// One lock for everything. While it is held, all signals are blocked, because a signal handler may
// call port_send() and close(). The thread cannot be cancelled then. Keeps errno.
class Guard {
  public:
    Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard();

    const sigset_t& outer_mask() const { return mask_; }

    // Whether this thread holds the lock. A sanitizer that reports something may call functions of
    // the model then; the model must leave such calls alone.
    static bool is_held_here();

    // Within it the lock is free, and the thread can be cancelled. Signals stay blocked.
    class Pause {
      public:
        explicit Pause(Guard& guard);
        Pause(const Pause&) = delete;
        Pause& operator=(const Pause&) = delete;
        ~Pause();

      private:
        Guard& guard_;
    };

  private:
    static void take();
    static void give_back();

    sigset_t mask_;
    int cancel_state_ = 0;
    int errno_;
};

struct Port;

enum class Kind : uint8_t { user, fd, file, timer };

// A place in a port's queue. Each association and each timer has one (rule 1). Each sent event has
// one, too. All count against max_events (rule 3).
struct Slot {
    Slot* previous;  // in the queue
    Slot* next;      // in the queue, or in the pool
    Port* port;
    uint32_t generation;  // changes when the slot is given back
    bool queued;
    Kind kind;
    ushort_t source;
    int events;
    uintptr_t object;
    void* user;
};

struct FdWatch : Slot {
    FdWatch* next_of_port;
    FdWatch* next_of_fd;
    int fd;
    int asked;
    bool valid;       // armed: rule 12
    bool ever_ready;  // epoll refuses it, as a regular file; `device` and `inode` name it
    dev_t device;
    ino_t inode;
    bool genuine;  // the last event was true: see the knob `stale`
    int last_events;
};

struct FileWatch : Slot {
    FileWatch* next_of_port;
    int asked;
    bool active;
    int wd;            // of the file
    int directory_wd;  // of the directory it is in, or -1
    dev_t device;
    ino_t inode;
    off_t size;  // at the last look; separates TRUNC from MODIFIED
    timespec modified;
    char path[PATH_MAX];  // its last part is the name that is watched
};

struct Timer : Slot {
    Timer* next_of_port;
    bool used;
    bool heard;  // false after its port was closed
    int fd;      // timerfd, hidden
    int pending;
    int overrun;
};

struct Waiter;

struct Port {
    Port* next_live;
    int fd;  // one of its descriptors in this process
    int count_of_fds;
    bool foreign;  // from fork(): not ours to use (rules 10, 15)
    bool dead;     // closed, but a getter has not left yet
    Slot* first;
    Slot* last;
    unsigned count;  // events in the queue
    unsigned slots;  // that are in use
    Waiter* waiters;
    bool alert_set;
    int alert_events;
    void* alert_user;
    bool had_fd;  // a source was used: rules 14, 25
    bool had_file;
    timespec created;
    int light;   // the eventfd that is always readable
    int notify;  // inotify, or -1
    FdWatch* fds;
    FileWatch* files;
    Timer* timers;
};

// data.u64 of an epoll item: which object it is, and a generation that makes late news harmless.
enum class Tag : uint64_t { light, fd, timer, notify };
constexpr uint64_t make_data(Tag tag, uint32_t index, uint32_t generation) {
    return static_cast<uint64_t>(tag) << 60 | static_cast<uint64_t>(generation & 0xFFFFFFFu) << 32 |
           index;
}

// Objects of one type, in an array that never moves. It is allocated without malloc(), because a
// signal handler may call close().
template <class T, uint32_t kMost>
class Pool {
  public:
    void reserve() { row_ = static_cast<T*>(reserve_memory(sizeof(T) * kMost)); }
    T* take() {
        T* object = free_;
        if (object != nullptr)
            free_ = static_cast<T*>(object->next);
        else if (used_ < kMost)
            object = row_ + used_++;
        else
            return nullptr;
        const uint32_t generation = object->generation;
        *object = T();
        object->generation = generation;
        return object;
    }
    void give_back(T* object) {
        object->generation++;
        object->next = free_;
        free_ = object;
    }
    uint32_t index(const T* object) const { return static_cast<uint32_t>(object - row_); }
    T* at(uint32_t index) { return row_ + index; }
    T* find(uint64_t data) {  // null if it is another one now
        T* object = at(static_cast<uint32_t>(data));
        return ((data >> 32) & 0xFFFFFFFu) == (object->generation & 0xFFFFFFFu) ? object : nullptr;
    }
    uint32_t used() const { return used_; }

  private:
    T* row_;
    T* free_;
    uint32_t used_;
};

struct State {
    bool ready;   // the constructor ran
    pid_t owner;  // the process that has this state
    unsigned forks;
    Port* live;
    Port** port_of;        // by descriptor
    FdWatch** watches_of;  // by descriptor
    int end_of_fds;        // no higher descriptor is in these arrays
    Pool<Slot, 1 << 20> sent;
    Pool<FdWatch, 1 << 18> fds;
    Pool<FileWatch, 1 << 14> files;
    Pool<Timer, 1 << 10> timers;
};
extern State state;

// Call everything below with the lock held.

// The port that `fd` is a descriptor of. Otherwise null, and errno is EBADF or EBADFD (rule 4).
Port* find_port(int fd);

bool take_slot(Port& port);  // false: the limit is reached (rule 3)
void release_slot(Port& port);
void post(Slot& slot);     // adds it to the end of the queue, unless it is queued (rule 1)
void unqueue(Slot& slot);  // does nothing if it is not queued

// Takes the first event out of the queue and writes it to `event`.
void deliver(Port& port, port_event_t& event);

// Turns the kernel's news into events. Not for foreign ports.
void harvest(Port& port);

int create_port();                             // -1 with errno
int send(Port& port, int events, void* user);  // 0 or errno, as below

void note_descriptor(int fd);  // port_of or watches_of will have it

// The program is about to close `fd` (rules 2, 14, 27), or has got a copy of it.
void closing(Guard& guard, int fd);
void duplicated(int fd, int copy);

// getters.cc
int get_events(Guard& guard, int fd, port_event_t* list, uint_t max, uint_t* nget,
               const timespec* timeout, bool one);
int alert(Port& port, int flags, int events, void* user);
void wake_first(Port& port);                           // if it has enough events
void expel_waiters(Guard& guard, Port& port, int fd);  // returns when they have left
void forget_waiters();                                 // in the child of fork()

// sources_fd.cc
int associate_fd(Port& port, uintptr_t object, int events, void* user);
int dissociate_fd(Port& port, uintptr_t object);
void fd_is_ready(FdWatch& watch, uint32_t events);
void forget_fd(FdWatch& watch);

// sources_file.cc
int associate_file(Port& port, uintptr_t object, int events, void* user);
int dissociate_file(Port& port, uintptr_t object);
void read_notifications(Port& port);
void forget_files(Port& port);

// sources_timer.cc
Timer* find_timer(timer_t id);  // null if the model has not made it
int create_timer(clockid_t clock, const port_notify_t& notify, timer_t* id);
int set_timer(Timer& timer, int flags, const itimerspec* value, itimerspec* old);
int get_timer(Timer& timer, itimerspec* value);
void delete_timer(Timer& timer);
void timer_has_expired(Timer& timer);
void detach_timers(Port& port);
void forget_timers();  // in the child of fork()

// pump.cc
void start_pump();  // called without the lock
bool is_pumping();
void pump_watch(int fd, Tag tag, uint32_t index);
void pump_unwatch(int fd);
void forget_pump();  // in the child of fork()

}  // namespace eventport

#endif
