// SPDX-License-Identifier: BSD-2-Clause
// Rings and holds. See announcing.h.
#include "announcing.h"

#include "threading.h"

namespace kq {

void Announcing::announce(Backend& backend, PromisedRings& promised, const ActiveQueue& active,
                          After what, bool lingers) {
    const bool pending = active.unbacked() > 0;
    const bool news = active.activations() != announced_;
    announced_ = active.activations();
    // Another thread may keep its promise late. Then its ring is one too many.
    const bool late = promised.any();
    if (pending && ((news && !has(kRung)) || late) && what != After::counting) {
        if (late) promised.call_off();
        const bool promises = what != After::sleep && !late && !single_threaded();
        if (promises) promised.promise();
        if (promises) set(kPromised, true);
        set(kRung, promises || backend.announce(Announce::ring) == Errno::ok);
    }
    const bool hold = (pending && !has(kRung)) || lingers;
    if (hold != has(kHeld) &&
        backend.announce(hold ? Announce::hold : Announce::release) == Errno::ok)
        set(kHeld, hold);
}

}  // namespace kq
