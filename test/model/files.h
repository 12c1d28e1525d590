// SPDX-License-Identifier: BSD-2-Clause
// The descriptors of the specification: which numbers are open, what may be read and written there.
// This is one half of the model; the other half is model.h. Written from semantics 4.1, 5.1 to 5.4.
#ifndef KQMODEL_FILES_H
#define KQMODEL_FILES_H

#include <functional>

#include "model/program.h"

namespace kqmodel {

// `maybe`: the rules leave a choice, or it depends on how the kernel counts.
enum class Truth : uint8_t { no, maybe, yes };

// One end of a pair of sockets or of a pipe.
//
// Sockets are of AF_UNIX, or connections of TCP. When the peer of a TCP connection is closed this
// end hears only that no more data come, or a reset if the peer has not read everything. While more
// was written than a buffer holds, the system moves the data when it likes. Then it is not known
// how much can be read or written.
//
// Urgent data are one byte beside the others, and a mark: its place among them. Only TCP has them.
// A read stops at the mark. The next read passes it, and the byte is gone.
struct File {
    enum class Role : uint8_t { stream, reader, writer };
    enum class Urgent : uint8_t { none, fresh, taken };  // `taken`: the mark was not passed
    Role role = Role::stream;
    bool tcp = false;
    int peer = 0;             // the index of the other end
    int numbers = 0;          // how many slots name it
    int64_t bytes = 0;        // to be read here
    int messages = 0;         // the bytes came in at most so many writes
    bool full = false;        // the peer wrote until it could not, and nothing was read since
    bool crammed = false;     // likewise, and not all was read since
    bool finished = false;    // the peer will send no more
    bool peer_gone = false;   // it is closed
    bool shut = false;        // shutdown(SHUT_WR) was called here
    bool was_reset = false;   // the peer left without reading all: ECONNRESET
    bool reset_told = false;  // ... which was in an event already (L-SO-ERROR)
    Urgent urgent = Urgent::none;
    bool was_urgent = false;  // there were urgent data once
    int64_t ahead = 0;        // so many bytes are before the mark
    bool sent = false;        // TCP: something was written here. The peer may acknowledge it late
};

enum class Side : uint8_t { read, write, urgent, empty };  // one for each filter

class Files {
  public:
    // `news` is called for each file where something happened that EV_CLEAR knotes are to report.
    using News = std::function<void(int file, Side side, Truth truth)>;
    explicit Files(const Traits& traits, News news) : traits_(traits), news_(std::move(news)) {}

    [[nodiscard]] int at(int slot) const { return slots_[slot]; }  // -1: closed
    [[nodiscard]] File& file(int index) { return files_[static_cast<size_t>(index)]; }
    [[nodiscard]] const File& file(int index) const { return files_[static_cast<size_t>(index)]; }
    [[nodiscard]] bool alive(int index) const { return file(index).numbers > 0; }

    // Whether EVFILT_READ with a low-water mark, or EVFILT_WRITE, is active.
    [[nodiscard]] Truth readable(int file, int64_t mark) const;
    [[nodiscard]] Truth writable(int file) const;
    [[nodiscard]] Truth urgent(int file) const;  // EVFILT_EXCEPT with NOTE_OOB; not its end
    [[nodiscard]] Truth empty(int file) const;   // EVFILT_EMPTY
    [[nodiscard]] bool ended(int file, Side side) const;  // EV_EOF
    // TCP: how much this side can read or write changes without a step of the program.
    [[nodiscard]] bool flows(int file, Side side) const;
    // Whether the end may be reported only after everything was read (P-EOF, W-WINE).
    [[nodiscard]] bool may_hide_end(int file) const;
    // The data of an event: exactly that, or at least that.
    [[nodiscard]] int64_t data(int file, Side side, bool& exact) const;

    // may_x(): whether step x can be done. x(): does it. An open slot must be closed before another
    // file is put there.
    void open(Kind kind, int a, int b);
    void close(int slot);
    void dup(int from, int to);
    [[nodiscard]] int64_t may_write(int slot) const;  // bytes; 0: none
    void write(int slot, int64_t count);
    [[nodiscard]] int64_t may_read(int slot) const;
    void read(int slot, int64_t count);
    [[nodiscard]] bool may_fill(int slot) const;  // there must be nothing in it yet
    void filled(int slot, int64_t count);
    [[nodiscard]] bool may_shut(int slot) const;
    void shut(int slot);
    [[nodiscard]] bool may_urge(int slot) const;
    void urge(int slot);
    [[nodiscard]] bool may_take(int slot) const;
    void take(int slot);

  private:
    [[nodiscard]] Truth room(const File& receiver) const;
    static void pass(File& f, int64_t count);
    [[nodiscard]] int64_t promised(const File& writer) const;
    void tell(int file, Side side, Truth truth) { news_(file, side, truth); }
    [[nodiscard]] Truth maybe() const { return traits_.doubled_edges ? Truth::maybe : Truth::no; }

    Traits traits_;
    News news_;
    int slots_[kSlots] = {-1, -1, -1, -1, -1, -1};
    std::vector<File> files_;
};

}  // namespace kqmodel

#endif
