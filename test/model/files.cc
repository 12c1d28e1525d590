// SPDX-License-Identifier: BSD-2-Clause
// What descriptors say. See files.h.
#include "model/files.h"

#include <algorithm>

namespace kqmodel {
namespace {

constexpr int64_t kPipeBuf = 4096;
// So little is in a socket or pipe, unless it is full, that no accounting makes it so.
constexpr int64_t kFewBytes = 4000;
constexpr int kFewMessages = 24;

}  // namespace

// ---- what is true ----

// 5.1.1, 5.1.3: an end is active whatever the mark. The write end of a pipe never has
// anything to be read, and hears of its reader's end.
Truth Files::readable(int index, int64_t mark) const {
    const File& f = file(index);
    const bool active = ended(index, Side::read) || f.bytes >= std::max<int64_t>(mark, 1);
    return active ? Truth::yes : Truth::no;
}

// Whether there is room to write to the one that receives.
Truth Files::room(const File& receiver) const {
    if (receiver.role == File::Role::reader)
        return traits_.pipe_size - receiver.bytes >= kPipeBuf ? Truth::yes : Truth::no;
    if (receiver.full) return Truth::no;
    return receiver.crammed && !traits_.exact_room ? Truth::maybe : Truth::yes;
}

// 5.2
Truth Files::writable(int index) const {
    const File& f = file(index);
    if (f.peer_gone) return Truth::yes;
    if (f.role == File::Role::reader) return Truth::no;
    const Truth has_room = room(file(f.peer));
    // L-PACKET-SHUT: a full stream that was shut is reported when there is room.
    return f.shut && has_room == Truth::no ? Truth::maybe : has_room;
}

bool Files::ended(int index, Side side) const {
    const File& f = file(index);
    if (side == Side::read) return f.peer_gone || f.finished;
    return f.peer_gone || f.shut;
}

int64_t Files::data(int index, Side side, bool& exact) const {
    const File& f = file(index);
    exact = true;
    if (side == Side::read) return f.bytes;
    if (f.role == File::Role::writer) {
        const int64_t free = traits_.pipe_size - file(f.peer).bytes;
        return traits_.relaxed.pipe_data == 0 ? free : promised(f);
    }
    exact = false;
    return ended(index, side) ? 0 : 1;
}

// P-DATA: what poll() promises; nothing if it is reported for its end alone.
int64_t Files::promised(const File& writer) const {
    return room(file(writer.peer)) == Truth::yes ? traits_.relaxed.pipe_data : 0;
}

// ---- what happens ----

void Files::open(Kind kind, int a, int b) {
    using Role = File::Role;
    const bool pipe = kind == Kind::pipe;
    const int first = static_cast<int>(files_.size());
    files_.push_back({.role = pipe ? Role::reader : Role::stream, .peer = first + 1, .numbers = 1});
    files_.push_back({.role = pipe ? Role::writer : Role::stream, .peer = first, .numbers = 1});
    slots_[a] = first;
    slots_[b] = first + 1;
}

void Files::close(int slot) {
    const int index = slots_[slot];
    slots_[slot] = -1;
    File& f = file(index);
    if (--f.numbers > 0) return;
    File& peer = file(f.peer);
    peer.peer_gone = true;
    peer.was_reset = f.role == File::Role::stream && f.bytes > 0;
    tell(f.peer, Side::read, Truth::yes);
    tell(f.peer, Side::write, Truth::yes);
}

void Files::dup(int from, int to) {
    slots_[to] = slots_[from];
    file(slots_[to]).numbers++;
}

int64_t Files::may_write(int slot) const {
    if (slots_[slot] < 0) return 0;
    const File& f = file(slots_[slot]);
    if (f.role == File::Role::reader || f.peer_gone || f.shut) return 0;
    const File& peer = file(f.peer);
    return peer.messages >= kFewMessages ? 0 : std::max<int64_t>(kFewBytes - peer.bytes, 0);
}

void Files::write(int slot, int64_t count) {
    const int to = file(slots_[slot]).peer;
    file(to).bytes += count;
    file(to).messages++;
    tell(to, Side::read, Truth::yes);  // each arrival is news
}

int64_t Files::may_read(int slot) const {
    return slots_[slot] < 0 ? 0 : file(slots_[slot]).bytes;
}

void Files::read(int slot, int64_t count) {
    File& f = file(slots_[slot]);
    const bool was_room = room(f) == Truth::yes;
    f.bytes -= count;
    f.full = false;
    if (f.bytes == 0) {
        f.messages = 0;
        f.crammed = false;
    }
    if (!f.peer_gone) {
        // 5.2: news for the writer whenever space is freed. That is when all was read, or what was
        // full has room again; whether the kernel frees space for less is its own affair.
        const bool freed = room(f) == Truth::yes && !was_room;
        tell(f.peer, Side::write, freed ? Truth::yes : maybe());
    }
}

bool Files::may_fill(int slot) const {
    if (slots_[slot] < 0) return false;
    const File& f = file(slots_[slot]);
    const bool sends = f.role != File::Role::reader && !f.peer_gone && !f.shut;
    return sends && file(f.peer).bytes == 0;
}

void Files::filled(int slot, int64_t count) {
    const int to = file(slots_[slot]).peer;
    File& f = file(to);
    f.bytes += count;
    f.messages = kFewMessages;
    f.full = f.crammed = true;
    tell(to, Side::read, Truth::yes);
}

bool Files::may_shut(int slot) const {
    if (slots_[slot] < 0) return false;
    const File& f = file(slots_[slot]);
    return f.role == File::Role::stream && !f.peer_gone && !f.shut;
}

void Files::shut(int slot) {
    const int index = slots_[slot];
    File& f = file(index);
    f.shut = true;
    file(f.peer).finished = true;
    tell(f.peer, Side::read, Truth::yes);
    tell(f.peer, Side::write, maybe());  // L-FIN-WRITE
    tell(index, Side::write, Truth::yes);
    tell(index, Side::read, maybe());
}

}  // namespace kqmodel
