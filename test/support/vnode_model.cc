// SPDX-License-Identifier: BSD-2-Clause
#include "support/vnode_model.h"

#include <cstdlib>
#include <sstream>

#include "support/gaps.h"

namespace kqtest {
namespace {

// Whether the kernel reports what happened. If not, the library looks at the files. Then a change
// that leaves size, links and mode alone shows only in the times, and these may be the same as at
// the last look (P-VNODE-NOTES, P-VNODE-LATE, P-VNODE-TOUCH).
bool told() {
    return on_linux();
}

// Event ports tell of some changes, unless they told of another one in its place (S-VNODE).
bool told_sometimes() {
    return backend() == "solaris";
}

constexpr unsigned kLinked = NOTE_WRITE | NOTE_LINK;

}  // namespace

void VnodeWindow::written(off_t from, off_t to) {
    // Growing by ftruncate() is like writing (L-VNODE-TRUNCATE).
    (to < from ? shrinks_ : writes_)++;
    grew_ = grew_ || to > from;
    in_run_ = false;
}

void VnodeWindow::attribute() {
    attributes_++;
    if (!in_run_) runs_++;
    in_run_ = true;
}

void VnodeWindow::linked() {
    link_changes_++;
    if (!in_run_) runs_++;
    in_run_ = true;
}

// The kernel says "modified" for every change of contents, and merges these. So the size decides
// (L-VNODE-MERGE, L-VNODE-TRUNCATE).
void VnodeWindow::add_contents(const VnodeState& now, Hints& hints) const {
    if (now.size > then_.size) hints.push_back({NOTE_WRITE | NOTE_EXTEND, true});
    if (now.size < then_.size) hints.push_back({NOTE_TRUNCATE | NOTE_ATTRIB, true});
    if (grew_) hints.push_back({NOTE_WRITE | NOTE_EXTEND, false});            // and was cut again
    if (shrinks_ > 0) hints.push_back({NOTE_TRUNCATE | NOTE_ATTRIB, false});  // and grew again
    // If it shrank it may have been written, too; and if it was written, that must be reported.
    if (writes_ + shrinks_ > 0)
        hints.push_back({NOTE_WRITE, writes_ > 0 && (told() || now.size != then_.size)});
}

// The kernel says "attributes" of links, too, and says it once for several in a row.
void VnodeWindow::add_links(const VnodeState& now, Hints& hints) const {
    const bool deleted = now.links == 0 && then_.links > 0;
    if (deleted) hints.push_back({NOTE_DELETE, true});
    if (!deleted && now.links != then_.links) hints.push_back({NOTE_LINK, true});
    // A link that was made and removed is an attribute that changed (L-VNODE-MERGE).
    if (link_changes_ > 1) hints.push_back({NOTE_LINK, false});
    if (link_changes_ > 1) hints.push_back({NOTE_ATTRIB, false});
    if (attributes_ == 0) return;
    const bool alone = link_changes_ == 0;
    const bool apart = runs_ > 1 && std::abs(now.links - then_.links) == 1;
    const bool seen = now.mode != then_.mode;
    hints.push_back({NOTE_ATTRIB, seen || (told() && (alone || apart))});
}

void VnodeWindow::add_entries(const VnodeState& now, Hints& hints) const {
    const bool removed = now.links == 0 && then_.links > 0;
    for (const VnodeHint& hint : posted_)
        hints.push_back({hint.bits, hint.sure && (told() || hint.bits == NOTE_DELETE)});
    if (attributes_ > 0) hints.push_back({NOTE_ATTRIB, told() || now.mode != then_.mode});
    if (told() || (posted_.empty() && attributes_ == 0 && !renamed_)) return;
    const bool counted = !removed && now.subdirectories != then_.subdirectories;
    hints.push_back({kLinked, counted});
    hints.push_back({NOTE_WRITE, false});
    hints.push_back({NOTE_ATTRIB, false});
}

std::vector<VnodeHint> VnodeWindow::hints(const VnodeState& now) const {
    Hints hints;
    // If the last name goes, and the file was opened by another name, the kernel tells of that and
    // then no more. Until the next look, only what can be seen is reported.
    const bool ended = now.had_more_names && now.links == 0 && then_.links > 0;
    if (now.directory) {
        add_entries(now, hints);
    } else {
        add_contents(now, hints);
        add_links(now, hints);
        // Any new time, and times that became equal: P-VNODE-TOUCH.
        const bool anything = writes_ + shrinks_ + attributes_ + link_changes_ > 0 || renamed_;
        if (!told() && anything) hints.push_back({NOTE_ATTRIB, false});
        if (!told() && anything) hints.push_back({NOTE_WRITE, false});
    }
    if (renamed_) hints.push_back({told() ? 1u * NOTE_RENAME : 1u * NOTE_ATTRIB, told()});
    if (told_sometimes() && renamed_) hints.push_back({NOTE_RENAME, false});
    if (told_sometimes() && (used_ & NOTE_READ) != 0) hints.push_back({NOTE_READ, false});
    for (const unsigned bit : {NOTE_OPEN, NOTE_READ, NOTE_CLOSE, NOTE_CLOSE_WRITE})
        if (told() && (used_ & bit) != 0) hints.push_back({bit, !ended});
    if (ended && attributes_ > 0) hints.push_back({NOTE_WRITE, false});  // a new time
    for (VnodeHint& hint : hints) {
        const bool seen = hint.bits == NOTE_DELETE || now.size != then_.size;
        hint.sure = hint.sure && (!ended || seen);
    }
    return hints;
}

void VnodeReport::post(const std::vector<VnodeHint>& hints) {
    for (const VnodeHint& hint : hints) {
        if ((hint.bits & mask_) == 0) continue;
        may_ |= hint.bits;
        if (hint.sure) must_ |= hint.bits;
    }
}

std::string VnodeReport::take(const Event* event) {
    std::ostringstream wrong;
    wrong << std::hex;
    const unsigned told = event == nullptr ? 0 : event->fflags;
    if (event != nullptr && disabled_) wrong << "reported although disabled";
    if (event != nullptr && told == 0) wrong << "an event without a bit";
    if (!disabled_ && (must_ & ~told) != 0) wrong << "missing " << (must_ & ~told);
    if ((told & ~may_) != 0) wrong << "too much " << (told & ~may_);
    if (!wrong.str().empty()) wrong << " of " << told;
    if (disabled_) return wrong.str();
    const bool clear = event == nullptr || (flags_ & EV_CLEAR) != 0;
    must_ = may_ = clear ? 0 : told;
    gone_ = event != nullptr && (flags_ & EV_ONESHOT) != 0;
    disabled_ = event != nullptr && (flags_ & EV_DISPATCH) != 0;
    return wrong.str();
}

}  // namespace kqtest
