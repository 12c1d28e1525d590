// SPDX-License-Identifier: BSD-2-Clause
// Knote: one registration, known by its kqueue, its ident and its filter, and with
// EV_UDATA_SPECIFIC also by its udata.
//
// A knote belongs to exactly one KnoteQueue, which indexes it, queues it and frees it. No code
// outside of that kqueue keeps a pointer to it. Filters derive from Knote to add members of their
// own. Lock: the kqueue's mutex, for all members.
#ifndef KQ_KNOTE_H
#define KQ_KNOTE_H

#include <stdint.h>
#include <sys/event.h>

#include "list.h"

namespace kq {

struct FilterOps;

// Knote::status bits. ACTIVE and QUEUED are known from the BSD kernels. ACTIVE: the source said
// "true" since the last report. QUEUED: the knote is on the active queue.
enum Status : uint8_t {
    kActive = 1,
    kQueued = 2,
    kDisabled = 4,
    // The kernel's own queue keeps reporting this knote while it is true, and
    // keeps the public descriptor readable: the core need not announce it, nor
    // keep it queued after a report.
    kBacked = 8,
    // Off the active queue, on one of the kqueue's lists of sources that have
    // to be looked at again (see KnoteQueue::park).
    kParked = 16,
    // EV_FORCEONESHOT: reported once, even if its filter says that it is not true; then dropped.
    kForced = 32,
    // Has an Extension, see wide.h.
    kExtended = 64,
    // Was reported in the current call, which is not at its end: see Kqueue::go_on().
    kServed = 128,
};

struct Knote : Link {        // the link: active queue or a list of parked knotes
    Knote* chain = nullptr;  // next in the hash bucket, or next of the same descriptor
    uintptr_t ident = 0;
    void* udata = nullptr;
    int16_t filter : 8 = 0;     // EVFILT_, or that of farewells: 8 bits are enough for all of them
    uint16_t place : 8 = 0;     // used by Blocks, if the memory comes from there
    uint16_t flags = 0;         // of the creating change, plus what the filter adds (EV_CLEAR, ...)
    uint32_t saved_fflags = 0;  // what the user last asked for
    uint32_t fflags = 0;        // what the filter has to report
    uint8_t status = 0;
    uint8_t filter_bits = 0;  // the filter's own
    uint16_t ready = 0;       // descriptors: Ready bits the kernel last reported
    intptr_t data = 0;        // what the filter has to report

    Knote() = default;
    Knote(const Knote&) = delete;
    Knote& operator=(const Knote&) = delete;
    ~Knote() = default;

    [[nodiscard]] bool has(Status bit) const { return (status & bit) != 0; }
    void set(Status bit) { status = static_cast<uint8_t>(status | bit); }
    void clear(Status bit) { status = static_cast<uint8_t>(status & ~bit); }

    // EV_UDATA_SPECIFIC: it is found by its udata, too, and only by changes that have that flag.
    [[nodiscard]] bool is_specific() const { return (flags & EV_UDATA_SPECIFIC) != 0; }

    // `number`: an EVFILT_ number, or that of farewells.
    void set_filter(int16_t number) {
        filter = static_cast<int8_t>(number);  // NOLINT(bugprone-signed-char-misuse,cert-str34-c)
    }

    [[nodiscard]] uint64_t hash_key() const { return hash_key(filter, ident); }
    static uint64_t hash_key(int16_t filter, uintptr_t ident) {
        return static_cast<uint64_t>(ident) ^
               (static_cast<uint64_t>(static_cast<uint16_t>(filter)) << 48);
    }
};

static_assert(EVFILT_SYSCOUNT < INT8_MAX);

// The flags that a knote keeps of the change that creates it: those that say
// how it behaves, and EV_ADD, because existing programs compare that.
inline uint16_t kept_flags(unsigned flags) {
    return static_cast<uint16_t>(flags &
                                 ~unsigned{EV_SYSFLAGS | EV_DELETE | EV_ENABLE | EV_DISABLE |
                                           EV_FORCEONESHOT | EV_KEEPUDATA | EV_VANISHED});
}

}  // namespace kq

#endif
