// SPDX-License-Identifier: BSD-2-Clause
// Random programs: what a program is, how a program is made from choices, how it is printed.
//
// A program is a list of steps. A step that cannot be done is skipped. So any step can be left out
// of a program: see shrink() in player.h. Idents are symbolic, because descriptor numbers differ
// from run to run and from system to system.
#ifndef KQMODEL_PROGRAM_H
#define KQMODEL_PROGRAM_H

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace kqmodel {

inline constexpr int kSlots = 6;   // descriptor numbers that a program opens and closes
inline constexpr int kQueues = 2;  // the first may watch the second
inline constexpr int kIdents = 4;  // of EVFILT_USER and EVFILT_TIMER

// The ident of a change or event, for filters whose ident is a descriptor: a slot, or
inline constexpr int kQueueIdent = kSlots;                // + n: the number of queue n
inline constexpr int kNeverOpen = kQueueIdent + kQueues;  // no descriptor at all

// A struct kevent with a symbolic ident; `tag` stands for udata.
struct Entry {
    int filter = 0;
    int ident = 0;
    unsigned flags = 0;
    unsigned fflags = 0;
    int64_t data = 0;
    uintptr_t tag = 0;

    bool operator==(const Entry&) const = default;
};

// EVFILT_EMPTY, EVFILT_EXCEPT, NOTE_OOB: the header has them only where they are served
// (N-FILTERS).
inline constexpr int kEmpty = -13;
inline constexpr int kExcept = -15;
inline constexpr unsigned kOob = 0x2;

// Whether the ident of this filter is a descriptor: READ, WRITE, EXCEPT, EMPTY.
bool is_descriptor(int filter);

// AF_UNIX stream sockets; a pipe, read end first; a connection of TCP.
enum class Kind : uint8_t { stream, pipe, tcp };

enum class Wait : uint8_t {
    none,      // timeout {0,0}
    brief,     // some 50 us
    event,     // for ever, if something is to come; else none
    invalid,
    negative,  // nevents is -1: R-44
};

struct Step {
    enum class What : uint8_t {
        call,     // kevent(queue, changes, room, wait)
        open,     // a new pair of `kind` at the slots a and b
        close,    // the number of slot a
        dup,      // dup2(slot a, slot b)
        write,    // count bytes to slot a
        read,     // at most count bytes from slot a
        drain,    // all from slot a
        fill,     // slot a, until it takes no more
        shut,     // shutdown(slot a, SHUT_WR)
        urge,     // a byte of urgent data to slot a
        take,     // the byte of urgent data from slot a
        advance,  // the clock, by count
        renew,    // closes the queue and makes another
    };
    What what = What::call;
    int queue = 0;
    std::vector<Entry> changes{};
    int room = 0;
    Wait wait = Wait::none;
    bool alias = false;  // the eventlist is the array of the changes
    bool fault = false;  // the system refuses in the course of it
    Kind kind = Kind::stream;
    int a = 0;
    int b = 0;
    int64_t count = 0;
};

using Program = std::vector<Step>;

// Where decisions come from: a seed, or the bytes of a fuzzer. When the bytes are used up the
// program ends.
class Choices {
  public:
    explicit Choices(uint64_t seed) : random_(seed), endless_(true) {}
    explicit Choices(std::span<const uint8_t> bytes) : bytes_(bytes) {}

    unsigned pick(unsigned n);  // less than n
    bool one_in(unsigned n) { return pick(n) == 0; }
    [[nodiscard]] bool over() const { return !endless_ && bytes_.empty(); }

  private:
    std::mt19937_64 random_;
    bool endless_ = false;
    std::span<const uint8_t> bytes_{};
};

// What a backend promises less than the rules ask: one field for each entry of BUGS.md. What a
// field allows is said where it is used. `eof`, `pipe_room` and `no_dup` also leave steps out.
struct Relaxed {
    bool poll = false;       // P-POLL
    bool no_poll = false;    // W-POLL: there is no way to ask whether a queue is readable
    bool edge = false;       // P-EDGE, W-EDGE
    bool eof = false;        // P-EOF, W-WINE
    int64_t pipe_data = 0;   // P-DATA: what an event says of a pipe to write to, if not the truth
    int64_t buffer = 0;      // W-DATA: what one says of a connection to write to
    bool no_ghosts = false;  // P-SAME-FILE: stricter than L-CLOSE
    bool nest = false;       // W-NEST
    bool reused = false;     // W-REUSED
    bool pipe_room = false;  // W-PIPE: `data` is not counted, and no pipe is filled
    bool no_dup = false;     // W-DUP, W-INHERIT: nothing is duplicated
    bool looks = false;      // P-EXCEPT: urgent data are looked at; EVFILT_EMPTY is everywhere
};

// What differs between the systems that programs are made for.
struct Traits {
    bool exact_clock;    // it is moved by `advance` and by waiting only,
    int64_t start_ms;    // and was this at the beginning
    bool exact_room;     // free space is what was not written; else the kernel keeps accounts
    int64_t pipe_size;   // bytes
    bool doubled_edges;  // what one end does may be told as news of the other direction, too
    bool plain;          // no pipes, no shutdown(), no queue that watches another
    bool faults;         // the system can be made to refuse
    bool tcp = false;    // pairs are connections of TCP: see files.h
    bool wandering_numbers = false;  // a slot may get the number that another slot had
    bool urgent = false;             // EVFILT_EXCEPT is served: some pairs are of TCP
    bool unsent = false;             // EVFILT_EMPTY is served
    Relaxed relaxed{};
};

Program make_program(Choices& choices, const Traits& traits, int steps);

std::string to_string(const Entry& entry);
std::string to_string(const std::vector<Entry>& entries);
std::string to_string(const Step& step);
std::string to_string(const Program& program);  // numbered lines

}  // namespace kqmodel

#endif
