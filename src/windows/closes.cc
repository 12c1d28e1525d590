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
    port = nt::new_port();
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

// Begins to watch.
Errno submit(Watch& watch) KQ_REQUIRES(mutex) {
    const uintptr_t base = afd::base_of(watch.socket);
    return base == 0 ? Errno::bad_descriptor : afd::submit(watch.poll, base, afd::kLocalClose);
}

void take_in(Watch& watch) KQ_REQUIRES(mutex) {
    const uint32_t events = afd::events_of(watch.poll);
    // If the system gives up a poll that we did not cancel, we ask again. A socket that it refuses
    // counts as closed.
    if (events == 0 && !watch.poll.cancelling && submit(watch) == Errno::ok) return;
    unlist(watch);
    if (watch.users == 0) {
        destroy(watch);
        return;
    }
    watch.closed.store(true, std::memory_order_release);
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

Watch* find(int socket) KQ_REQUIRES(mutex) {
    if (room == nullptr) return nullptr;
    notice_locked();
    Watch** place = room->by_number.find(static_cast<size_t>(socket));
    return place == nullptr ? nullptr : *place;
}

// The watch of an open socket, which is made if there is none.
Result<Watch*> watch_of(int socket) KQ_REQUIRES(mutex) {
    Errno error = prepare();
    if (error != Errno::ok) return error;
    notice_locked();
    Watch** place = room->by_number.at(static_cast<size_t>(socket));
    if (place == nullptr) return Errno::no_memory;
    if (*place != nullptr) return *place;
    Owned<Watch> fresh = make<Watch>();
    if (!fresh) return Errno::no_memory;
    const Result<afd::Device*> device = room->devices.reserve();
    if (!device.ok()) return device.error();
    fresh->poll.device = device.value();
    fresh->socket = socket;
    error = submit(*fresh);
    if (error != Errno::ok) {
        afd::Devices::give_back(*device.value());
        return error;
    }
    *place = fresh.get();
    return fresh.release();
}

}  // namespace

Result<Watch*> acquire(int socket) {
    const Guard guard(mutex);
    const Result<Watch*> watch = watch_of(socket);
    if (watch.ok()) watch.value()->users++;
    return watch;
}

void release(Watch& watch) {
    const Guard guard(mutex);
    if (--watch.users > 0 || (watch.serial != 0 && watch.poll.pending)) return;
    unlist(watch);
    if (watch.poll.pending)
        afd::cancel(watch.poll);  // it is freed when its packet comes
    else
        destroy(watch);
}

uint32_t serial_of(int socket) {
    static constinit uint32_t last = 0;
    const Guard guard(mutex);
    const Result<Watch*> watch = watch_of(socket);
    if (!watch.ok()) return 0;
    uint32_t& serial = watch.value()->serial;
    while (serial == 0)
        serial = ++last;
    return serial;
}

bool has_serial(int socket, uint32_t serial) {
    const Guard guard(mutex);
    const Watch* watch = find(socket);
    return watch != nullptr && watch->serial == serial;
}

void notice() {
    const Guard guard(mutex);
    notice_locked();
}

}  // namespace kq::closes
