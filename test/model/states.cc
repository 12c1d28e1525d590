// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EXCEPT and EVFILT_EMPTY, which ask for one state of a descriptor: semantics 5.3, 5.4.
// Where no kernel reports the state the library looks: L-EMPTY, P-EXCEPT. See model.h.
#include <sys/event.h>

#include <algorithm>
#include <cerrno>

#include "model/model.h"

namespace kqmodel {

bool Model::is_state(int filter) {
    return filter == kExcept || filter == kEmpty;
}

bool Model::is_looked_for(const Key& key) const {
    return key.filter == kEmpty || (key.filter == kExcept && traits_.relaxed.looks);
}

// Which fflags a change of such a knote may have, and which descriptors. Returns an errno, or 0.
int Model::check_state(const Entry& entry) const {
    const unsigned served = entry.filter == kExcept ? kOob : 0;
    if (!is_state(entry.filter)) return 0;
    if ((entry.fflags & ~served) != 0) return EINVAL;
    const bool reads =
        entry.ident < kSlots && files_.file(files_.at(entry.ident)).role == File::Role::reader;
    return reads && entry.filter == kEmpty ? EINVAL : 0;
}

Truth Model::state(const Key& key, const Knote& kn) const {
    if (key.filter == kEmpty) return files_.empty(kn.file);
    const Truth urgent = (kn.fflags & kOob) != 0 ? files_.urgent(kn.file) : Truth::no;
    return std::max(urgent, end(key, kn));
}

// Whether EXCEPT has the end of its connection to report.
Truth Model::end(const Key& key, const Knote& kn) const {
    if (key.filter != kExcept || !files_.ended(kn.file, Side::urgent)) return Truth::no;
    return may_hide_end(key, kn) ? Truth::maybe : Truth::yes;
}

// With EV_CLEAR the end is news, even if urgent data that were reported are still there.
Truth Model::state_news(const Key& key, const Knote& kn) const {
    const Truth now = end(key, kn);
    const Truth news = kn.end_told == Truth::no ? now : std::min(now, Truth::maybe);
    return std::max(kn.was_false, kn.end_told == Truth::yes ? Truth::no : news);
}

std::string Model::check_urgent(const Knote& kn, const Entry& event) const {
    const Truth urgent = (kn.fflags & kOob) != 0 ? files_.urgent(kn.file) : Truth::no;
    if (event.fflags == kOob) return urgent == Truth::no ? "there are no urgent data" : "";
    if (event.fflags != 0) return "wrong fflags";
    return urgent == Truth::yes ? "without NOTE_OOB" : "";
}

// The change itself looks at the descriptor. If the state is true now, the knote is queued.
void Model::begin(const Key& key, Knote& kn) const {
    kn.news = Truth::yes;
    kn.seen = {.arisen = now_.monotonic};
    kn.was_false = Truth::yes;
    kn.end_told = Truth::no;
    kn.waits = kn.file >= 0 && is_looked_for(key) && condition(key, kn) != Truth::yes;
}

// A call without events has looked at all these knotes. Other calls have looked at those that were
// due.
void Model::look_at_states(Queue& q, bool nothing, const std::set<Key>& told) const {
    for (auto& [key, kn] : q.knotes) {
        if (!is_looked_for(key) || kn.disabled || kn.farewell || told.count(key) != 0) continue;
        const Truth truth = condition(key, kn);
        if (truth == Truth::yes) continue;
        kn.waits = true;
        const bool surely = nothing && truth == Truth::no;
        kn.was_false = std::max(kn.was_false, surely ? Truth::yes : Truth::maybe);
    }
}

void Model::state_reported(const Key& key, Knote& kn) const {
    if (!is_looked_for(key)) return;
    kn.was_false = Truth::no;
    kn.end_told = end(key, kn);
    kn.waits = kn.has(EV_CLEAR);
}

}  // namespace kqmodel
