// SPDX-License-Identifier: BSD-2-Clause
// Random programs: what a program is, how one is made of choices, how it is shown.
//
// A program is a list of steps, each of which makes sense in every state (what cannot be done is
// skipped), so that steps can be left out of it: see shrink.h. Idents are symbolic, since
// descriptor numbers differ from run to run and from system to system.
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

// The ident of a change or event of EVFILT_READ or EVFILT_WRITE: a slot, or
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

enum class Kind : uint8_t { stream, pipe };  // AF_UNIX stream sockets; a pipe, read end first

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

// Where decisions come from: a seed, or the bytes of a fuzzer, which end the program when they
// are used up.
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

// What a backend promises less than the rules ask: one field for each entry of BUGS.md, and
// relaxed.cc says what each allows. None of them leaves a step or a comparison out.
struct Relaxed {
    bool poll = false;       // P-POLL
    bool edge = false;       // P-EDGE
    bool eof = false;        // P-EOF
    int64_t pipe_data = 0;   // P-DATA: what an event says of a pipe to write to, if not the truth
    bool no_ghosts = false;  // P-SAME-FILE: stricter than L-CLOSE
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
    Relaxed relaxed{};
};

Program make_program(Choices& choices, const Traits& traits, int steps);

std::string to_string(const Entry& entry);
std::string to_string(const std::vector<Entry>& entries);
std::string to_string(const Step& step);
std::string to_string(const Program& program);  // numbered lines

}  // namespace kqmodel

#endif
