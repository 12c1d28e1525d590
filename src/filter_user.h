// SPDX-License-Identifier: BSD-2-Clause
// How a change sets the values of a user event. Used by filter_user.cc, and by at_once.h, which
// triggers and takes the usual user events. Lock: the kqueue's mutex.
#ifndef KQ_FILTER_USER_H
#define KQ_FILTER_USER_H

#include <stdint.h>
#include <sys/event.h>

#include "knote.h"

namespace kq::user {

// Knote::filter_bits
inline constexpr uint8_t kTriggered = 1;

inline uint32_t operate(uint32_t stored, uint32_t fflags) {
    const uint32_t operand = fflags & NOTE_FFLAGSMASK;
    switch (fflags & NOTE_FFCTRLMASK) {
        case NOTE_FFAND:
            return stored & operand;
        case NOTE_FFOR:
            return stored | operand;
        case NOTE_FFCOPY:
            return operand;
        default:  // NOTE_FFNOP
            return stored;
    }
}

// Takes the values of a change over, and a trigger, if there is one.
inline void take_over(Knote& kn, const struct kevent& change) {
    kn.fflags = operate(kn.fflags, change.fflags);
    kn.data = change.data;
    if ((change.fflags & NOTE_TRIGGER) != 0) kn.filter_bits = kTriggered;
}

}  // namespace kq::user

#endif
