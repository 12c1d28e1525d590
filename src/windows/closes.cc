// SPDX-License-Identifier: BSD-2-Clause
// The close watch. See closes.h.
#include "closes.h"

#include "alloc.h"
#include "mutex.h"
#include "nt.h"
#include "slot_table.h"

namespace kq::closes {
namespace {

constinit Mutex mutex;
constinit void* port KQ_GUARDED_BY(mutex) = nullptr;

struct Room {
    afd::Devices devices;
    SlotTable<Watch*> by_number;
};
// Never destroyed, because the last packet of a watch may come after every kqueue is gone.
constinit Room* room KQ_GUARDED_BY(mutex) = nullptr;

Errno prepare() KQ_REQUIRES(mutex) {
    if (room != nullptr) return Errno::ok;
    Owned<Room> fresh = make<Room>();
    if (!fresh) return Errno::no_memory;
    port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1);
    if (port == nullptr) return sys::last_error();
    fresh->devices.bind(port, 0);
    room = fresh.release();
    return Errno::ok;
}

void destroy(Watch& watch) KQ_REQUIRES(mutex) {
    afd::Devices::give_back(*watch.poll.device);
    watch.~Watch();
    free(&watch);
}

// No number leads to it any more.
void unlist(const Watch& watch) KQ_REQUIRES(mutex) {
    Watch** place = room->by_number.find(static_cast<size_t>(watch.socket));
    if (place != nullptr && *place == &watch) *place = nullptr;
}

void take_in(Watch& watch) KQ_REQUIRES(mutex) {
    const uint32_t events = afd::events_of(watch.poll);
    if (watch.users == 0) {
        destroy(watch);
        return;
    }
    KQ_CHECK(events != 0);  // only unused watches are cancelled
    watch.closed.store(true, std::memory_order_release);
    unlist(watch);
}

void notice_locked() KQ_REQUIRES(mutex) {
    if (port == nullptr) return;
    constexpr uint32_t kMost = 32;
    uint32_t count = kMost;
    while (count == kMost) {
        nt::Completion done[kMost];
        const int64_t at_once = 0;
        count = 0;
        if (NtRemoveIoCompletionEx(port, done, kMost, &count, &at_once, 0) != 0) return;
        for (uint32_t i = 0; i < count; i++)
            take_in(*static_cast<Watch*>(done[i].context));
    }
}

}  // namespace

Result<Watch*> acquire(int socket) {
    const Guard guard(mutex);
    Errno error = prepare();
    if (error != Errno::ok) return error;
    notice_locked();
    Watch** place = room->by_number.at(static_cast<size_t>(socket));
    if (place == nullptr) return Errno::no_memory;
    if (*place != nullptr) {
        (*place)->users++;
        return *place;
    }
    Owned<Watch> fresh = make<Watch>();
    if (!fresh) return Errno::no_memory;
    const Result<afd::Device*> device = room->devices.reserve();
    if (!device.ok()) return device.error();
    fresh->poll.device = device.value();
    fresh->socket = socket;
    fresh->users = 1;
    const uintptr_t base = afd::base_of(socket);
    error = base == 0 ? Errno::bad_descriptor : afd::submit(fresh->poll, base, afd::kLocalClose);
    if (error != Errno::ok) {
        afd::Devices::give_back(*device.value());
        return error;
    }
    *place = fresh.get();
    return fresh.release();
}

void release(Watch& watch) {
    const Guard guard(mutex);
    if (--watch.users > 0) return;
    unlist(watch);
    if (watch.poll.pending)
        afd::cancel(watch.poll);  // it is freed when its packet comes
    else
        destroy(watch);
}

void notice() {
    const Guard guard(mutex);
    notice_locked();
}

}  // namespace kq::closes
