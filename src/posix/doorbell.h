// Doorbells: what makes a kqueue's public descriptor readable by hand.
//
// The public descriptor is the read end of a pipe. A second number of that end, and
// the write end, are the library's own: the user may close the public one at any
// moment, and its number be his file then, so nothing is ever read from that.
// A byte is in the pipe while the bell is rung or held.
//
// A Doorbell belongs to one Backend from open() to close(). Its memory is never freed,
// only used again: post() and tag_of() walk there from signal handlers, without a lock.
// Who rings is counted in, so that the pipe is not closed under him.
//
// Used by Backend. open(), move(): the registry's mutex. hear(), hold(): the kqueue's.
// post(), find(), tag_of(): any thread, async-signal-safe.
#ifndef KQ_POSIX_DOORBELL_H
#define KQ_POSIX_DOORBELL_H

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "result.h"

namespace kq {

class Poller;

struct Doorbell {
    std::atomic<uint32_t> tag{0};  // its kqueue's; 0: nobody's
    std::atomic<int> number{-1};   // the public descriptor
    std::atomic<int> in{-1};       // our number of the read end
    std::atomic<int> out{-1};
    std::atomic<uint64_t> file{0};   // what fstat() says of the pipe
    std::atomic<uint32_t> state{0};  // rung since hear()? see doorbell.cc
    std::atomic<uint32_t> rings{0};  // counts them
    std::atomic<int> ringers{0};
    std::atomic<bool> held{false};
    // Whether it is to be rung when children exit: see children.cc.
    std::atomic<bool> hears_children{false};
    Doorbell* next_of_all = nullptr;  // a list that only grows
    Doorbell* next_free = nullptr;
    // Of its kqueue, for those who watch that: see nest.h, whose mutex guards it.
    Poller* poller = nullptr;
};

namespace doorbell {

// Makes the pipe; `tag` is not 0. The public descriptor is bell.number. EMFILE, ENFILE, ENOMEM.
Errno open(uint32_t tag, Doorbell*& bell);
// Closes our numbers, and the public one only if told so. `waits`: for those who ring.
void close(Doorbell& bell, bool waits);
// The public descriptor is another number now. no_memory: but it cannot be rung by that.
Errno move(Doorbell& bell, int number);

// Whether the public descriptor still is this pipe.
bool is_open(const Doorbell& bell);

// Makes the kqueue of that public number readable. An error if it is not (any more) open, or
// that of another tag.
Errno post(int number, uint32_t tag);
// The same, for the owner of the bell, and for those who know that it has one.
void ring_owned(Doorbell& bell);
// True if it was rung since the last time. Readable only if held after that.
bool hear(Doorbell& bell);
// Readable until released.
void hold(Doorbell& bell, bool on);

// Rings all that hear of children. True if there are any.
bool ring_for_children();

// The bell of a public number, which is still that of a kqueue of ours; else null.
Doorbell* find(int number);
// The tag of the kqueue that any number names, 0 if of none.
uint32_t tag_of(int number);

// Whether pipes without a name are on this device (stat::st_dev), as far as is known: since
// the first open().
bool is_pipe_device(uint64_t device);

// In a forked child: the lock may be anybody's.
void abandon_in_child();

}  // namespace doorbell
}  // namespace kq

#endif
