// SPDX-License-Identifier: BSD-2-Clause
// Filters and bits of fflags that some native kernel serves and this build does not. EV_ADD of such
// a filter is refused with ENOSYS, and such a bit with ENOTSUP. Each says so on stderr, once:
// nothing fails or succeeds silently.
#include "missing_filter.h"

#include <stdio.h>

#include <iterator>

#include "check.h"

namespace kq {

void say_missing_once(const char* what, std::atomic<bool>& said) {
    if (said.exchange(true)) return;
    char line[160];
    (void)snprintf(line, sizeof line, "libkqueue: FIXME -- UNIMPLEMENTED: %s on this platform",
                   what);
    say(line);
}

namespace {

constexpr char kAio[] = "EVFILT_AIO";
constexpr char kNetdev[] = "EVFILT_NETDEV";
constexpr char kLio[] = "EVFILT_LIO";

// A bit of fflags that no macro of ours has. Not here: numbers that mean something else to us
// (macOS' VNODE notes from 0x80 on), and EVFILT_TIMER, where any unknown bit is EINVAL.
struct ForeignNote {
    int16_t filter;
    uint32_t bit;
    const char* name;
};
constexpr ForeignNote kForeignNotes[] = {
    {EVFILT_READ, 0x2,
     "EVFILT_READ with fflags 0x2 (NOTE_FILE_POLL of FreeBSD, NOTE_EOF of OpenBSD, NOTE_OOB of "
     "macOS)"},
    {EVFILT_PROC, 0x02000000, "EVFILT_PROC with fflags 0x2000000 (NOTE_EXIT_DETAIL of macOS)"},
    {EVFILT_PROC, 0x08000000, "EVFILT_PROC with fflags 0x8000000 (NOTE_SIGNAL of macOS)"},
    {EVFILT_PROC, 0x10000000,
     "EVFILT_PROC with fflags 0x10000000 (NOTE_REAP of FreeBSD and macOS)"},
};
constinit std::atomic<bool> said_note[std::size(kForeignNotes)]{};

}  // namespace

Errno check_notes(int16_t filter, uint32_t fflags) {
    Errno answer = Errno::ok;
    for (size_t i = 0; i < std::size(kForeignNotes); i++) {
        const ForeignNote& note = kForeignNotes[i];
        if (note.filter != filter || (fflags & note.bit) == 0) continue;
        say_missing_once(note.name, said_note[i]);
        answer = Errno::unsupported;
    }
    return answer;
}

constinit const FilterOps kMissingAio = missing_filter<kAio>();
constinit const FilterOps kMissingNetdev = missing_filter<kNetdev>();
constinit const FilterOps kMissingLio = missing_filter<kLio>();

}  // namespace kq
