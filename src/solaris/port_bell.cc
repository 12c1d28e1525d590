// SPDX-License-Identifier: BSD-2-Clause
// See port_bell.h.
#include "port_bell.h"

#include "../posix/file_stat.h"
#include "alloc.h"
#include "ports.h"

namespace kq {
namespace port_bell {
namespace {

constexpr mode_t kPortType = 0xE000;  // S_IFPORT of <sys/stat.h>

void* user_of(uint32_t tag) {
    return reinterpret_cast<void*>(uintptr_t{tag});
}

}  // namespace

Errno open(uint32_t tag, PortBell*& bell) {
    auto* fresh = static_cast<PortBell*>(bells::take());
    if (fresh == nullptr) return Errno::no_memory;
    const int number = port_create();
    Errno error = ports::answer(number);
    if (error == Errno::ok) error = bells::move(*fresh, number);
    if (error != Errno::ok) {
        if (number >= 0) sys::close(number);
        bells::give_back(*fresh);
        return error;
    }
    (void)sys::control(number, F_SETFD, FD_CLOEXEC);
    fresh->file.store(file_of(number));
    fresh->ring.reset();
    fresh->unsent.store(false);
    fresh->look_at.store(kForever);
    fresh->tag.store(tag);
    bell = fresh;
    return Errno::ok;
}

void close(PortBell& bell, bool waits) {
    bells::silence(bell, waits);
    bell.file.store(0);
    bells::give_back(bell);
}

Errno send(const PortBell& bell, Token token) {
    return ports::send(bell.number.load(), token, user_of(bell.tag.load()));
}

bool is_for(const PortBell& bell, const void* user) {
    return user == user_of(bell.tag.load());
}

uint64_t file_of(int number) {
    struct stat st {};
    if (number < 0 || sys::stat_number(number, &st) != 0 || (st.st_mode & S_IFMT) != kPortType)
        return 0;
    const auto device = static_cast<uint64_t>(st.st_dev);
    return (device * 0x9e3779b97f4a7c15u ^ static_cast<uint64_t>(nanos_of(st.st_ctim))) | 1;
}

bool is_open(const PortBell& bell) {
    const uint64_t file = bell.file.load();
    return file != 0 && file_of(bell.number.load()) == file;
}

PortBell* find(int number) {
    return static_cast<PortBell*>(bells::find(number));
}

uint32_t tag_of(int number) {
    if (const Bell* bell = bells::find(number)) return bell->tag.load();
    const uint64_t file = file_of(number);
    if (file == 0) return 0;
    for (const Bell* any = bells::first(); any != nullptr; any = any->next_of_all) {
        const auto* bell = static_cast<const PortBell*>(any);
        if (bell->tag.load() != 0 && bell->file.load() == file) return bell->tag.load();
    }
    return 0;
}

}  // namespace port_bell

namespace bells {

Bell* make_one() {
    return make<PortBell>().release();
}

bool is_open(const Bell& bell) {
    return port_bell::is_open(static_cast<const PortBell&>(bell));
}

// The kernel does not merge events, so this keeps the number of tokens in the queue at one, or few.
void ring(Bell& base) {
    auto& bell = static_cast<PortBell&>(base);
    bell.rings.fetch_add(1);
    uint32_t seen = 0;
    if (!bell.ring.begin(seen)) return;
    const int before = errno;
    if (port_bell::send(bell, port_bell::kRing) == Errno::ok)
        bell.ring.finish(seen);
    else
        bell.unsent.store(true);
    errno = before;
}

}  // namespace bells
}  // namespace kq
