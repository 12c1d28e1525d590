// SPDX-License-Identifier: BSD-2-Clause
// What EVFILT_VNODE must report of a batch of operations. The model is written from semantics 5.5,
// not from the code of the library. Where the kernel reports exactly what happened, the model says
// exactly what is reported. Elsewhere it says what must be reported and what may be reported.
#ifndef KQTEST_VNODE_MODEL_H
#define KQTEST_VNODE_MODEL_H

#include <sys/stat.h>

#include <string>
#include <vector>

#include "support/kq.h"

namespace kqtest {

// Bits that are posted together (D-36). Not sure: the kernel does not tell whether that happened.
struct VnodeHint {
    unsigned bits;
    bool sure;
};

// The state of a file or directory that matters, except its name.
struct VnodeState {
    bool directory = false;
    off_t size = 0;
    int links = 1;                // of a directory: 0 when it was removed
    bool had_more_names = false;  // a file, sometime
    mode_t mode = 0644;
    int subdirectories = 0;
};

// What was done to a file or directory since the last look.
class VnodeWindow {
  public:
    explicit VnodeWindow(const VnodeState& then) : then_(then) {}

    // ---- for files; the last three also for directories ----
    void written(off_t from, off_t to);
    void linked();  // one name more or less
    void attribute();
    void renamed() { renamed_ = true; }
    void used(unsigned bits) { used_ |= bits; }
    // ---- for directories ----
    void posted(unsigned bits, bool sure = true) { posted_.push_back({bits, sure}); }

    // The hints that follow from this, if the state now is `now`.
    [[nodiscard]] std::vector<VnodeHint> hints(const VnodeState& now) const;

  private:
    using Hints = std::vector<VnodeHint>;
    void add_contents(const VnodeState& now, Hints& hints) const;
    void add_links(const VnodeState& now, Hints& hints) const;
    void add_entries(const VnodeState& now, Hints& hints) const;

    VnodeState then_;
    int writes_ = 0;
    int shrinks_ = 0;
    bool grew_ = false;
    int attributes_ = 0;
    int link_changes_ = 0;
    int runs_ = 0;  // of attributes and links without a write between
    bool in_run_ = false;
    bool renamed_ = false;
    unsigned used_ = 0;
    Hints posted_;
};

// What a knote has accumulated, and may report.
class VnodeReport {
  public:
    VnodeReport(unsigned mask, int flags) : mask_(mask), flags_(flags) {}

    void post(const std::vector<VnodeHint>& hints);
    void set_mask(unsigned mask) { mask_ = mask; }
    void disable(bool on) { disabled_ = on; }

    // The knote was asked, and gave this event, or none (null). Returns what is wrong with that, or
    // "".
    [[nodiscard]] std::string take(const Event* event);
    // The knote was EV_ONESHOT, and was reported.
    [[nodiscard]] bool gone() const { return gone_; }

  private:
    unsigned mask_;
    int flags_;
    unsigned must_ = 0;
    unsigned may_ = 0;
    bool disabled_ = false;
    bool gone_ = false;
};

}  // namespace kqtest

#endif
