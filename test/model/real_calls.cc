// SPDX-License-Identifier: BSD-2-Clause
// Makes the kevent() calls of the steps. See real.h.
#include <gtest/gtest.h>
#include <sys/event.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "model/real.h"

namespace kqmodel {
namespace {

constexpr timespec kAtOnce{0, 0};
constexpr timespec kBrief{0, 50'000};
// The timeout of a call that could wait for ever, so that a lost event ends the test. The event
// that the call waits for is there, or comes within some microseconds. A call whose time is over
// looks once more.
constexpr timespec kLong{0, 500'000'000};
constexpr timespec kInvalid{0, 1'000'000'000};

// The flags of entries that a call must not overwrite.
constexpr unsigned kUntouched = 0x5a5a;

using Array = std::array<struct kevent, 80>;

void fill_untouched(Array& array, size_t from) {
    for (size_t i = from; i < array.size(); i++)
        array[i].flags = kUntouched;
}

// only the entries are written.
bool touched(const Array& array, size_t written, const Step& call) {
    for (size_t i = written; i < array.size(); i++) {
        const bool change = call.alias && i < call.changes.size();
        const unsigned expected = change ? call.changes[i].flags & 0xffff : kUntouched;
        if (array[i].flags != expected) return true;
    }
    return false;
}

}  // namespace

RealCalls::RealCalls() {
    for (int& queue : queues_)
        queue = ::kqueue();
}

RealCalls::~RealCalls() {
    for (const int queue : queues_)
        ::close(queue);
}

Outcome RealCalls::kevent(const Step& call, Wait wait) {
    const size_t changes = call.changes.size();
    const auto room = static_cast<size_t>(call.room);
    Array input;
    Array separate;
    EXPECT_LE(std::max(changes, room), input.size());
    fill_untouched(input, changes);
    if (!call.alias) fill_untouched(separate, 0);
    for (size_t i = 0; i < changes; i++)
        input[i] = to_kevent(call.changes[i]);
    Array& output = call.alias ? input : separate;
    constexpr const timespec* kTimeouts[] = {&kAtOnce, &kBrief, &kLong, &kInvalid, &kAtOnce};
    Outcome outcome;
    errno = 0;
    outcome.result =
        ::kevent(queues_[call.queue], input.data(), static_cast<int>(changes), output.data(),
                 wait == Wait::negative ? -1 : call.room, kTimeouts[static_cast<size_t>(wait)]);
    outcome.error = outcome.result < 0 ? errno : 0;
    const size_t written = outcome.result < 0 ? 0 : static_cast<size_t>(outcome.result);
    if (outcome.result >= 0 && errno != 0) outcome.wrong = "errno was touched";
    for (size_t i = 0; i < written && i < output.size(); i++)
        outcome.entries.push_back(from_kevent(output[i]));
    if (outcome.result >= 0 && touched(output, written, call)) outcome.wrong = "wrote too much";
    return outcome;
}

void RealCalls::renew(int queue) {
    EXPECT_EQ(::close(queues_[queue]), 0);
    queues_[queue] = ::kqueue();
}

Now RealCalls::now() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::nanoseconds>(now).count(),
            1'700'000'000'000'000'000};
}

struct ::kevent RealCalls::to_kevent(const Entry& entry) const {
    auto ident = static_cast<uintptr_t>(entry.ident);
    if (is_descriptor(entry.filter)) {
        if (entry.ident < kSlots)
            ident = static_cast<uintptr_t>(number_of(entry.ident));
        else if (entry.ident < kNeverOpen)
            ident = static_cast<uintptr_t>(queues_[entry.ident - kQueueIdent]);
        else
            ident = UINTPTR_MAX;
    }
    struct kevent kev;
    EV_SET(&kev, ident, static_cast<short>(entry.filter), static_cast<unsigned short>(entry.flags),
           entry.fflags, static_cast<intptr_t>(entry.data), reinterpret_cast<void*>(entry.tag));
    return kev;
}

Entry RealCalls::from_kevent(const struct ::kevent& kev) const {
    Entry entry{kev.filter, static_cast<int>(kev.ident),           kev.flags, kev.fflags,
                kev.data,   reinterpret_cast<uintptr_t>(kev.udata)};
    if (!is_descriptor(kev.filter)) return entry;
    const int slot = slot_of(entry.ident);
    if (kev.ident == UINTPTR_MAX)
        entry.ident = kNeverOpen;
    else if (slot >= 0)
        entry.ident = slot;
    for (int i = 0; i < kQueues; i++)
        if (static_cast<int>(kev.ident) == queues_[i]) entry.ident = kQueueIdent + i;
    return entry;
}

}  // namespace kqmodel
