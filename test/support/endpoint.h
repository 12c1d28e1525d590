// SPDX-License-Identifier: BSD-2-Clause
// Every kind of descriptor that EVFILT_READ and EVFILT_WRITE can watch, with one interface for each
// of the two filters. So a rule about flags is written once, and tested on all kinds.
#ifndef KQTEST_ENDPOINT_H
#define KQTEST_ENDPOINT_H

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "support/kq.h"

namespace kqtest {

// The `data` that an event must have: exactly this value. kAnyData: any value that is not negative.
inline constexpr intptr_t kAnyData = -1;

// Something to read from. A unit is what feed() adds: some bytes, a datagram, a connection, ...
class ReadEnd {
  public:
    ReadEnd() = default;
    ReadEnd(const ReadEnd&) = delete;
    virtual ~ReadEnd() = default;

    virtual int fd() const = 0;  // what to watch
    virtual void feed() = 0;     // one unit more; it is there when this returns
    virtual void take() = 0;     // one unit less
    virtual void drain() = 0;    // nothing left
    virtual intptr_t data(int units) const = 0;
    virtual bool may_be_more() const { return false; }  // more than data() may be reported now
};

struct ReadEndKind {
    const char* name;
    std::unique_ptr<ReadEnd> (*make)();
    bool divisible;  // take() works, and leaves what it does not take
};

std::vector<ReadEndKind> read_ends();

// Something to write to. Writable when new.
class WriteEnd {
  public:
    WriteEnd() = default;
    WriteEnd(const WriteEnd&) = delete;
    virtual ~WriteEnd() = default;

    virtual int fd() const = 0;
    virtual void block() {}                       // full: write() would block
    virtual void unblock() {}                     // empty again
    virtual intptr_t least() const { return 1; }  // bounds of data when empty
    virtual intptr_t most() const { return INTPTR_MAX; }
};

struct WriteEndKind {
    const char* name;
    std::unique_ptr<WriteEnd> (*make)();
    bool blockable;
};

std::vector<WriteEndKind> write_ends();

// A socket to read from and to write to, whose two directions do not disturb each other. A new one
// has nothing to read, and is writable.
class Duplex {
  public:
    Duplex(Pair pair, bool datagrams) : pair_(std::move(pair)), datagrams_(datagrams) {}

    int fd() const { return *pair_.first; }
    int peer() const { return *pair_.second; }
    void hang_up() { pair_.second.reset(); }

    void feed() const;     // three bytes from the peer
    void drain() const;    // nothing left to read
    void block() const;    // no room to write
    void unblock() const;  // the peer reads it all
    intptr_t data(int units) const { return datagrams_ ? 3 : 3 * units; }

  private:
    Pair pair_;
    bool datagrams_;
};

struct DuplexKind {
    const char* name;
    Duplex (*make)();
};

std::vector<DuplexKind> duplex_kinds();
std::vector<DuplexKind> stream_kinds();  // the kinds with an end of file

// A pseudo terminal without echo. `raw`: bytes as they are; else line by line.
struct Terminal {
    explicit Terminal(bool raw);
    Fd master;
    Fd slave;
};

// A FIFO with both ends open and no name.
Pipe make_fifo();

// GoogleTest prints a parameter by its name, and "Suite.Test/name" is the name of the test.
template <class Kind>
requires requires(const Kind& kind) {
    kind.name;
}
void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

inline constexpr auto kind_name = [](const auto& info) { return std::string(info.param.name); };

}  // namespace kqtest

#endif
