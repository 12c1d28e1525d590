// SPDX-License-Identifier: BSD-2-Clause
// Pipes that are rung. See doorbell.h.
#include "doorbell.h"

#include <sys/stat.h>

#include "alloc.h"
#include "sys.h"

namespace kq::doorbell {
namespace {

// A value that tells open pipes apart; 0: fd is no pipe.
uint64_t file_of(int fd) {
    struct stat st {};
    if (fd < 0 || sys::stat_number(fd, &st) != 0 || !S_ISFIFO(st.st_mode)) return 0;
    return (static_cast<uint64_t>(st.st_dev) * 0x9e3779b97f4a7c15u ^
            static_cast<uint64_t>(st.st_ino)) |
           uint64_t{1} << 63;
}

bool prepare(int fd) {
    const int flags = sys::control(fd, F_GETFL);
    return flags >= 0 && sys::control(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           sys::control(fd, F_SETFD, FD_CLOEXEC) == 0;
}

// A program that closes all descriptors, as daemons do, closes ours, too. Later the numbers may be
// files of the program.
bool is_ours(const Doorbell& bell, int fd) {
    const uint64_t file = bell.file.load();
    return file != 0 && file_of(fd) == file;
}

void put_byte(const Doorbell& bell) {
    const int out = bell.out.load();
    if (is_ours(bell, out)) (void)sys::write(out, "", 1);  // a full pipe is readable, too
}

void drain(const Doorbell& bell) {
    const int in = bell.in.load();
    if (!is_ours(bell, in)) return;
    char bytes[64];
    while (sys::read(in, bytes, sizeof bytes) == sizeof bytes) {
    }
}

Errno open_pipe(Doorbell& bell) {
    int ends[2] = {-1, -1};
    if (pipe(ends) != 0) return last_errno();
    int out = sys::above_stdio(ends[1]);
    int in = out < 0 ? -1 : sys::duplicate(ends[0]);
    Errno error = in < 0 || !prepare(ends[0]) || !prepare(out) ? last_errno() : Errno::ok;
    if (error == Errno::ok && !bells::reserve(ends[0])) error = Errno::no_memory;
    if (error != Errno::ok) {
        sys::close_and_clear(in);
        sys::close_and_clear(out);
        sys::close(ends[0]);
        return error;
    }
    bell.in.store(in);
    bell.out.store(out);
    bell.file.store(file_of(in));
    bell.ring.reset();
    bell.held.store(false);
    return bells::move(bell, ends[0]);
}

}  // namespace

Errno open(uint32_t tag, Doorbell*& bell) {
    auto* fresh = static_cast<Doorbell*>(bells::take());
    if (fresh == nullptr) return Errno::no_memory;
    const Errno error = open_pipe(*fresh);
    if (error != Errno::ok) {
        bells::give_back(*fresh);
        return error;
    }
    fresh->tag.store(tag);
    bell = fresh;
    return error;
}

void close(Doorbell& bell, bool waits) {
    bells::silence(bell, waits);
    for (std::atomic<int>* fd : {&bell.in, &bell.out})
        if (is_ours(bell, fd->load())) sys::close(fd->exchange(-1));
    bell.file.store(0);
    bells::give_back(bell);
}

bool is_open(const Doorbell& bell) {
    return is_ours(bell, bell.number.load());
}

bool is_end_of(const Doorbell& bell, int fd) {
    return is_ours(bell, fd);
}

void ring_owned(Doorbell& bell) {
    bell.rings.fetch_add(1);
    uint32_t seen = 0;
    if (!bell.ring.begin(seen)) return;
    put_byte(bell);
    bell.ring.finish(seen);
}

// Empties the pipe first: a later ring puts a byte in, and an earlier ring is heard.
bool hear(Doorbell& bell) {
    if (!bell.held.load()) drain(bell);
    return bell.ring.hear();
}

void hold(Doorbell& bell, bool on) {
    if (bell.held.exchange(on) == on) return;
    if (on) return put_byte(bell);
    if (!bell.ring.is_quiet()) return;  // hear() will take its byte, too
    drain(bell);
    if (!bell.ring.is_quiet()) put_byte(bell);  // rung since: hear() may have taken that byte
}

Doorbell* find(int number) {
    return static_cast<Doorbell*>(bells::find(number));
}

// fstat() tells the same of both ends of a pipe, so our own two numbers must be left out.
uint32_t tag_of(int number) {
    if (const Doorbell* bell = find(number)) return bell->tag.load();
    const uint64_t file = file_of(number);
    if (file == 0) return 0;
    for (const Bell* any = bells::first(); any != nullptr; any = any->next_of_all) {
        const auto* bell = static_cast<const Doorbell*>(any);
        if (bell->tag.load() == 0 || bell->file.load() != file) continue;
        const bool own = bell->in.load() == number || bell->out.load() == number;
        return own ? 0 : bell->tag.load();
    }
    return 0;
}

}  // namespace kq::doorbell

namespace kq::bells {

Bell* make_one() {
    return make<Doorbell>().release();
}

bool is_open(const Bell& bell) {
    return doorbell::is_open(static_cast<const Doorbell&>(bell));
}

void ring(Bell& bell) {
    doorbell::ring_owned(static_cast<Doorbell&>(bell));
}

}  // namespace kq::bells
