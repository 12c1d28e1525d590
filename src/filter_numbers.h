// SPDX-License-Identifier: BSD-2-Clause
// Filters, and bits of fflags, that the public header names only where they are served.
#ifndef KQ_FILTER_NUMBERS_H
#define KQ_FILTER_NUMBERS_H

#include <stdint.h>
#include <sys/event.h>

namespace kq {

inline constexpr int16_t kEvfiltEmpty = -13;     // FreeBSD's number
inline constexpr int16_t kEvfiltProcdesc = -14;  // FreeBSD's is our EVFILT_NETDEV
inline constexpr int16_t kEvfiltExcept = -15;    // that of macOS
inline constexpr uint32_t kNoteOob = 0x2;        // that of macOS

inline constexpr uint32_t kNoteContinuous = 0x80;  // macOS' NOTE_MACH_CONTINUOUS_TIME

#ifdef NOTE_MACH_CONTINUOUS_TIME
static_assert(kNoteContinuous == NOTE_MACH_CONTINUOUS_TIME);
#endif
#ifdef EVFILT_EMPTY
static_assert(kEvfiltEmpty == EVFILT_EMPTY);
#endif
#ifdef EVFILT_PROCDESC
static_assert(kEvfiltProcdesc == EVFILT_PROCDESC);
#endif
#ifdef EVFILT_EXCEPT
static_assert(kEvfiltExcept == EVFILT_EXCEPT && kNoteOob == NOTE_OOB);
#endif

}  // namespace kq

#endif
