// SPDX-License-Identifier: BSD-2-Clause
// The state of descriptors, and how the steps of a program change it. See files.h.
#include "model/files.h"

#include <algorithm>

namespace kqmodel {
namespace {

using Role = File::Role;
using Urgent = File::Urgent;

constexpr int64_t kPipeBuf = 4096;
// A socket or pipe that was not filled on purpose never has more than this, so that it cannot be
// full, however the kernel counts.
constexpr int64_t kFewBytes = 4000;
constexpr int kFewMessages = 24;

}  // namespace

// ---- what is true ----

// 5.1.1, 5.1.3: an end (EV_EOF) is active whatever the low-water mark is. The write end of
// a pipe never has anything to read, but is told when the reader is closed.
Truth Files::readable(int index, int64_t mark) const {
    const File& f = file(index);
    if (flows(index, Side::read) && !f.was_reset) return Truth::maybe;
    // The system counts only the bytes before the mark of urgent data: 5.1.1, P-DATA.
    if (f.urgent != Urgent::none && mark > 1 && f.bytes > 0 && f.ahead < mark &&
        !ended(index, Side::read))
        return Truth::maybe;
    const bool active = ended(index, Side::read) || f.bytes >= std::max<int64_t>(mark, 1);
    return active ? Truth::yes : Truth::no;
}

// Whether there is room to write to the file `receiver`.
Truth Files::room(const File& receiver) const {
    if (receiver.role == Role::reader)
        return traits_.pipe_size - receiver.bytes >= kPipeBuf ? Truth::yes : Truth::no;
    if (receiver.full) return receiver.tcp ? Truth::maybe : Truth::no;
    return receiver.crammed && !traits_.exact_room ? Truth::maybe : Truth::yes;
}

// 5.2
Truth Files::writable(int index) const {
    const File& f = file(index);
    if (f.peer_gone && (!f.tcp || f.was_reset)) return Truth::yes;
    if (f.role == Role::reader) return Truth::no;
    const Truth has_room = room(file(f.peer));
    // L-PACKET-SHUT: a full stream that was shut is reported when there is room.
    return f.shut && has_room == Truth::no ? Truth::maybe : has_room;
}

// 5.4: active until the urgent byte was read, and as long as its place is the next to be read. The
// kernel does not report that place, so it is found by looking, or by chance (L-OOB-MARK).
Truth Files::urgent(int index) const {
    const File& f = file(index);
    if (f.urgent == Urgent::fresh) return Truth::yes;
    if (f.urgent == Urgent::none || f.ahead > 0) return Truth::no;
    return traits_.relaxed.looks ? Truth::yes : Truth::maybe;
}

// 5.3. The system of the other end of a connection decides when it acknowledges: 40 ms later, or
// with its own data. So it is not certain when data that TCP has sent are gone.
Truth Files::empty(int index) const {
    const File& f = file(index);
    if (f.tcp) return f.sent ? Truth::maybe : Truth::yes;
    if (f.role == Role::stream && f.peer_gone) return Truth::yes;
    return file(f.peer).bytes == 0 ? Truth::yes : Truth::no;
}

bool Files::ended(int index, Side side) const {
    const File& f = file(index);
    if (side == Side::empty) return false;
    if (side == Side::urgent) return f.role != Role::writer && (f.peer_gone || f.finished);
    if (side == Side::read) return f.peer_gone || f.finished;
    if (f.tcp) return f.was_reset;
    return f.peer_gone || f.shut;
}

bool Files::flows(int index, Side side) const {
    const File& f = file(index);
    return f.tcp && (side == Side::read ? f : file(f.peer)).crammed;
}

bool Files::may_hide_end(int index) const {
    const File& f = file(index);
    const bool hides = f.bytes > 0 || f.urgent != Urgent::none;
    if (!traits_.relaxed.eof || !hides || f.shut) return false;
    return f.tcp ? f.peer_gone && !f.was_reset : f.finished && !f.peer_gone;
}

int64_t Files::data(int index, Side side, bool& exact) const {
    const File& f = file(index);
    exact = true;
    if (side == Side::urgent || side == Side::empty) return 0;
    exact = !flows(index, side);
    if (side == Side::read && f.urgent != Urgent::none) {  // as in readable()
        exact = false;
        return std::min(f.bytes, std::max<int64_t>(f.ahead, 1));
    }
    if (side == Side::read) return exact ? f.bytes : 0;
    if (f.tcp && traits_.relaxed.buffer != 0 && !ended(index, side)) {
        exact = true;
        return traits_.relaxed.buffer;
    }
    if (f.role == Role::writer && !traits_.relaxed.pipe_room) {
        const int64_t free = traits_.pipe_size - file(f.peer).bytes;
        return traits_.relaxed.pipe_data == 0 ? free : promised(f);
    }
    exact = false;
    return ended(index, side) ? 0 : 1;
}

// P-DATA: the room that poll() promises. It is 0 if the knote is reported only because of its end.
int64_t Files::promised(const File& writer) const {
    return room(file(writer.peer)) == Truth::yes ? traits_.relaxed.pipe_data : 0;
}

// ---- what happens ----

void Files::open(Kind kind, int a, int b) {
    const bool pipe = kind == Kind::pipe;
    const int first = static_cast<int>(files_.size());
    for (const bool second : {false, true}) {
        File file;
        file.role = !pipe ? Role::stream : second ? Role::writer : Role::reader;
        file.tcp = !pipe && (kind == Kind::tcp || traits_.tcp);
        file.peer = second ? first : first + 1;
        file.numbers = 1;
        files_.push_back(file);
    }
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
    // An urgent byte counts as unread until its mark is passed.
    peer.was_reset = f.role == Role::stream && (f.bytes > 0 || f.urgent != Urgent::none);
    tell(f.peer, Side::read, Truth::yes);
    tell(f.peer, Side::urgent, peer.finished ? maybe() : Truth::yes);
    tell(f.peer, Side::empty, Truth::yes);
    if (!peer.tcp || peer.was_reset)
        tell(f.peer, Side::write, Truth::yes);
    else if (!traits_.tcp)
        tell(f.peer, Side::write, maybe());  // L-FIN-WRITE
}

void Files::dup(int from, int to) {
    slots_[to] = slots_[from];
    file(slots_[to]).numbers++;
}

int64_t Files::may_write(int slot) const {
    if (slots_[slot] < 0) return 0;
    const File& f = file(slots_[slot]);
    if (f.role == Role::reader || f.peer_gone || f.shut) return 0;
    const File& peer = file(f.peer);
    return peer.messages >= kFewMessages ? 0 : std::max<int64_t>(kFewBytes - peer.bytes, 0);
}

void Files::write(int slot, int64_t count) {
    File& f = file(slots_[slot]);
    f.sent = f.tcp;
    File& to = file(f.peer);
    to.bytes += count;
    to.messages++;
    tell(f.peer, Side::read, Truth::yes);  // each arrival is news
    tell(f.peer, Side::urgent, maybe());
}

int64_t Files::may_read(int slot) const {
    if (slots_[slot] < 0) return 0;
    const File& f = file(slots_[slot]);
    const bool lost = f.tcp && f.crammed && f.was_reset;  // data under way is lost
    return lost ? 0 : f.bytes;
}

void Files::read(int slot, int64_t count) {
    File& f = file(slots_[slot]);
    const bool was_room = room(f) == Truth::yes;
    f.bytes -= count;
    f.full = false;
    pass(f, count);
    if (f.bytes == 0) {
        f.messages = 0;
        f.crammed = false;
    }
    if (!f.peer_gone) {
        // 5.2: news for the writer whenever space is freed. That is certain when all was read, or
        // when a full file has room again. With less, the kernel may free space or not.
        const bool freed = room(f) == Truth::yes && !was_room;
        tell(f.peer, Side::write, freed ? Truth::yes : maybe());
    }
}

// What becomes of urgent data when `count` bytes were read.
void Files::pass(File& f, int64_t count) {
    if (f.urgent == Urgent::none) return;
    if (count > f.ahead) f.urgent = Urgent::none;
    f.ahead = std::max<int64_t>(f.ahead - count, 0);
}

// Buffers of TCP hold megabytes, and the model does not know when the system moves such data. So
// connections of TCP are filled only where the system has no other pairs.
bool Files::may_fill(int slot) const {
    if (slots_[slot] < 0) return false;
    const File& f = file(slots_[slot]);
    if (f.tcp && !traits_.tcp) return false;
    if (f.role == Role::writer && traits_.relaxed.pipe_room) return false;
    const bool sends = f.role != Role::reader && !f.peer_gone && !f.shut;
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

// The other system acknowledges a FIN of TCP when it likes, and that is an edge. So connections of
// TCP are shut only where the system has no other pairs.
bool Files::may_shut(int slot) const {
    if (slots_[slot] < 0) return false;
    const File& f = file(slots_[slot]);
    if (f.tcp && !traits_.tcp) return false;
    return f.role == Role::stream && !f.peer_gone && !f.shut;
}

void Files::shut(int slot) {
    const int index = slots_[slot];
    File& f = file(index);
    f.shut = true;
    file(f.peer).finished = true;
    tell(f.peer, Side::read, Truth::yes);
    tell(f.peer, Side::urgent, Truth::yes);
    tell(f.peer, Side::write, maybe());  // L-FIN-WRITE
    tell(index, Side::urgent, maybe());
    tell(index, Side::write, Truth::yes);
    tell(index, Side::read, maybe());
}

bool Files::may_urge(int slot) const {
    if (slots_[slot] < 0 || !file(slots_[slot]).tcp) return false;
    return may_write(slot) > 0;
}

// A new urgent byte replaces an earlier one. The earlier one then becomes an ordinary byte, unless
// the reader has reached its place.
void Files::urge(int slot) {
    File& f = file(slots_[slot]);
    f.sent = true;
    File& to = file(f.peer);
    if (to.urgent != Urgent::none && to.ahead > 0) to.bytes++;
    to.messages++;
    to.urgent = Urgent::fresh;
    to.was_urgent = true;
    to.ahead = to.bytes;
    tell(f.peer, Side::urgent, Truth::yes);
    tell(f.peer, Side::read, maybe());
}

bool Files::may_take(int slot) const {
    if (slots_[slot] < 0) return false;
    const File& f = file(slots_[slot]);
    return f.urgent == Urgent::fresh && !f.was_reset;
}

void Files::take(int slot) {
    file(slots_[slot]).urgent = Urgent::taken;
}

}  // namespace kqmodel
