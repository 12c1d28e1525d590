// SPDX-License-Identifier: BSD-2-Clause
// The specification's descriptors: which numbers are open, what may be read and written there.
// Half of the model; the other half is model.h. Written from semantics 4.1, 5.1 and 5.2.
#ifndef KQMODEL_FILES_H
#define KQMODEL_FILES_H

#include <functional>

#include "model/program.h"

namespace kqmodel {

// Where the rules leave a choice, or the kernel's bookkeeping is its own affair: maybe.
enum class Truth : uint8_t { no, maybe, yes };

// One end of a pair of sockets or of a pipe.
struct File {
    enum class Role : uint8_t { stream, reader, writer };
    Role role = Role::stream;
    int peer = 0;             // the index of the other end
    int numbers = 0;          // how many slots name it
    int64_t bytes = 0;        // to be read here
    int messages = 0;         // at most so many writes they came in
    bool full = false;        // the peer wrote until it could not, and nothing was read since
    bool crammed = false;     // likewise, and not all was read since
    bool finished = false;    // the peer will send no more
    bool peer_gone = false;   // it is closed
    bool shut = false;        // shutdown(SHUT_WR) was called here
    bool was_reset = false;   // the peer left without reading all: ECONNRESET
    bool reset_told = false;  // ... which was in an event already (L-SO-ERROR)
};

enum class Side : uint8_t { read, write };

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
    [[nodiscard]] bool ended(int file, Side side) const;  // EV_EOF
    // The data of an event: exactly that, or at least that.
    [[nodiscard]] int64_t data(int file, Side side, bool& exact) const;

    // Whether a step can be done; then what it does. A slot that is open must be closed before
    // another file is put there.
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

  private:
    [[nodiscard]] Truth room(const File& receiver) const;
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
