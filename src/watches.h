// SPDX-License-Identifier: BSD-2-Clause
// FdWatch: everything that one kqueue keeps for one descriptor number. Watches: the table of
// FdWatches by number. fd_watch.h has the functions that use them. Lock: the kqueue's mutex.
#ifndef KQ_WATCHES_H
#define KQ_WATCHES_H

#include "knote.h"
#include "platform_types.h"
#include "slot_table.h"

namespace kq {

struct FdWatch {
    Knote* notes = nullptr;   // chained by Knote::chain; of each filter at most one that is not
                              // EV_UDATA_SPECIFIC
    uint32_t generation = 0;  // of its Handle; a new one for each open file
    FdFacts facts;
};

using Watches = SlotTable<FdWatch>;

}  // namespace kq

#endif
