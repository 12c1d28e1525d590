// SPDX-License-Identifier: BSD-2-Clause
// The state of a simulated descriptor: namespace descriptor of src/platform.h. Also everything else
// that a platform has besides its Backend.
#include "world.h"

namespace kq {

using sim::OpenFile;
using sim::world;

namespace descriptor {

Errno check_open(int fd) {
    return world().find(fd) == nullptr ? Errno::bad_descriptor : Errno::ok;
}

Errno check_same(int fd, const FdFacts& facts) {
    const OpenFile* file = world().find(fd);
    if (file == nullptr) return Errno::bad_descriptor;
    return file->identity == facts.identity ? Errno::ok : Errno::no_entry;
}

Errno classify(int fd, FdFacts& facts) {
    const OpenFile* file = world().find(fd);
    if (file == nullptr) return Errno::bad_descriptor;
    facts.kind = file->kind;
    facts.readable_end = facts.writable_end = true;
    facts.identity = file->identity;
    return Errno::ok;
}

Errno file_state(int fd, FdFacts& facts, FileState& state) {
    const OpenFile* file = world().find(fd);
    if (file == nullptr) return Errno::bad_descriptor;
    if (facts.kind == FdKind::unknown) (void)classify(fd, facts);
    if (file->identity != facts.identity) return Errno::no_entry;
    state.size = file->size;
    state.links = file->links;
    state.mode = file->mode;
    state.modified = file->modified;
    state.changed = file->changed;
    state.directory = file->kind == FdKind::directory;
    state.named = state.directory || file->kind == FdKind::regular;
    return Errno::ok;
}

uint64_t name(int fd) {
    const OpenFile* file = world().find(fd);
    return file == nullptr ? 0 : file->name;
}

uint16_t poll(int fd, Direction direction) {
    world().counts.poll++;
    return world().ready(fd, direction);
}

namespace {

// The file, classified. Null if it is closed, or if it is another file now.
OpenFile* look(int fd, FdFacts& facts, uint16_t ready) {
    OpenFile* file = world().find(fd);
    if (file == nullptr || (ready & kClosed) != 0) return nullptr;
    if (facts.kind == FdKind::unknown) (void)classify(fd, facts);
    const bool by_identity = facts.kind == FdKind::regular || facts.kind == FdKind::always;
    return by_identity && facts.identity != file->identity ? nullptr : file;
}

void finish(Sample& sample, const OpenFile& file, uint16_t ready) {
    sample.eof = (ready & kHangup) != 0;
    if (sample.eof) sample.error = file.error;
    sample.untold = file.untold && !sample.active;
}

}  // namespace

Sample readable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    const OpenFile* file = look(fd, facts, ready);
    sample.closed = file == nullptr;
    if (sample.closed) return sample;
    if (facts.kind == FdKind::always) {
        sample.active = true;
        return sample;
    }
    sample.data = facts.kind == FdKind::regular ? file->size - file->offset : file->readable;
    sample.active = sample.data != 0;
    finish(sample, *file, ready);
    if ((ready & kReadHangup) != 0) sample.eof = true;
    return sample;
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    const OpenFile* file = look(fd, facts, ready);
    sample.closed = file == nullptr;
    if (sample.closed) return sample;
    if (facts.kind == FdKind::always || facts.kind == FdKind::regular) {
        sample.active = true;
        return sample;
    }
    sample.data = file->space;
    sample.active = file->space >= file->low_space;
    finish(sample, *file, ready);
    return sample;
}

}  // namespace descriptor

Nanos now(Clock clock) {
    return world().now(clock);
}

bool single_threaded() {
    return world().single_threaded;
}

Errno set_file_poll_interval(int64_t /*interval*/) {
    return Errno::unimplemented;
}

}  // namespace kq
