// SPDX-License-Identifier: BSD-2-Clause
// FdWatch: what one kqueue has for one descriptor number. Watches: the table of these, by number.
// fd_watch.h says what is done with them. Lock: the kqueue's mutex.
#ifndef KQ_WATCHES_H
#define KQ_WATCHES_H

#include "knote.h"
#include "platform_types.h"
#include "slot_table.h"

namespace kq {

struct FdWatch {
    Knote* notes = nullptr;   // chained by Knote::chain, at most one for each filter
    uint32_t generation = 0;  // of its Handle; a new one for each open file
    FdFacts facts;
};

using Watches = SlotTable<FdWatch>;

}  // namespace kq

#endif
