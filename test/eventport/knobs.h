// SPDX-License-Identifier: BSD-2-Clause
// How the model misbehaves on request: see README.md.
#ifndef KQ_EVENTPORT_KNOBS_H
#define KQ_EVENTPORT_KNOBS_H

#include <sys/stat.h>

#include <cstdint>

namespace eventport {

struct Knobs {
    unsigned max_events = 65536;  // slots of a port
    unsigned timers = 32;         // of the process
    double eintr = 0;             // probabilities: 0 to 1
    double etime_events = 0;
    double stale = 0;
    bool spurious_fifo = false;
    bool one_at_a_time = false;  // short=1
    bool file_off = false;
    bool highres_denied = false;
    bool pump = true;
    unsigned refused_kinds = 0;  // bits: 1 << (st_mode's type >> 12)
    uint64_t seed = 0;
};

// Call these functions only with the model's lock held.
extern Knobs knobs;

void set_knobs(const char* text);

// True with this probability. The sequence depends only on the seed.
bool chance(double probability);

inline bool is_refused(mode_t mode) {
    return ((knobs.refused_kinds >> ((mode & S_IFMT) >> 12)) & 1) != 0;
}

}  // namespace eventport

#endif
