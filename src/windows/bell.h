// SPDX-License-Identifier: BSD-2-Clause
// Bells, and public descriptors: any thread can wake a kqueue by the number of its descriptor.
//
// The public descriptor is the writing end of a named pipe with one instance, wrapped by the C
// library, so that close() and _close() work on it. The library keeps the reading end, and the
// system reports when the last writing end is closed. Then sleepers are woken, and the kqueue is
// freed.
//
// The memory of bells is never freed, only used again. A Bell is in use from open() to close().
// No lock: ring(), wake() and find() may be called under any lock.
#ifndef KQ_WINDOWS_BELL_H
#define KQ_WINDOWS_BELL_H

#include <stdint.h>

#include <atomic>

#include "result.h"

namespace kq {

struct Bell {
    // Why a thread must collect and not sleep.
    enum Reason : uint32_t {
        kRung = 1,     // announced, and not collected yet
        kHeld = 2,     // announced
        kUnarmed = 4,  // a source is not armed that ought to be
        kKept = 8,     // something was dequeued that no collect() has reported yet
        kClosed = 16,  // the public descriptor is closed
    };
    // The key of packets that only wake a thread.
    static constexpr uintptr_t kWakeKey = 1;

    std::atomic<uint32_t> tag{0};  // 0: not in use
    std::atomic<uint32_t> reasons{0};
    std::atomic<uint32_t> told{0};   // how often it was rung or held
    std::atomic<uint32_t> taken{0};  // packets that were taken from the port
    std::atomic<uint32_t> sleepers{0};
    std::atomic<bool> woken{false};  // a packet that only wakes is in the port
    std::atomic<uint32_t> users{0};  // threads that use the port without the kqueue's mutex
    std::atomic<void*> port{nullptr};
    std::atomic<bool> watched{false};  // another kqueue watches it, or has watched it
    std::atomic<bool> looks{false};    // it has sources that no packet reports
    // The next moment at which a call must look into it, monotonic, and by the wall clock.
    std::atomic<int64_t> due{INT64_MAX};
    std::atomic<int64_t> due_by_wall{INT64_MAX};
    int number = -1;
    void* pipe = nullptr;                   // our end
    void* writer = nullptr;                 // the handle below the number
    uint64_t name = 0;                      // of the pipe: files::pipe_of_handle(writer)
    std::atomic<bool> listening{false};     // the system has a read for the end of the pipe
    alignas(void*) unsigned char read[64];  // what the system needs for it, and the byte
    Bell* next = nullptr;

    void set(Reason reason) {
        if ((reason & (kRung | kHeld)) != 0) told.fetch_add(1);
        reasons.fetch_or(reason);
    }
    void clear(Reason reason) { reasons.fetch_and(~uint32_t{reason}); }
    [[nodiscard]] bool has(Reason reason) const { return (reasons.load() & reason) != 0; }
    void put(Reason reason, bool on) { on ? set(reason) : clear(reason); }

    // Wakes one sleeping thread to collect. That wakes the next one if a reason is left.
    void wake();
    // Wakes all sleeping threads, because the time of some of them is over.
    void wake_all();
};

namespace bells {

// A bell with a port and a public descriptor. Errors: too_many_open, no_memory.
Result<Bell*> open(uint32_t tag);
// No thread sleeps there any more. Closes the public descriptor only if `all`; otherwise the
// program does that.
void close(Bell& bell, bool all);

// Whether the number still names this kqueue. Asks the system for the name of the pipe, because a
// file that the program has just opened may have the number, and even the handle.
bool exists(const Bell& bell);

// Rings the kqueue of this number, if the number was a kqueue's of this process and still has this
// tag.
Errno ring(int number, uint32_t tag);
// The tag of the kqueue of this process that the number names; 0: none.
uint32_t tag_of(int number);
// Another kqueue watches this one from now on, so this one has to keep everything armed.
void note_watched(int number);

// What can be seen of a kqueue from outside.
struct News {
    bool some = false;     // it may have something to report
    bool sure = true;      // false: it looks itself, so that this cannot be seen from outside
    bool overdue = false;  // no call has looked into it since its deadline
    uint64_t state = 0;    // another number each time that something may have been added
};
// bad_descriptor: the number is no kqueue.
Result<News> news_of(int number, int64_t now);

}  // namespace bells
}  // namespace kq

#endif
