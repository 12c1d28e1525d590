// SPDX-License-Identifier: BSD-2-Clause
// See child_hints.h.
#include "child_hints.h"

#include <atomic>

#include "bells.h"

namespace kq::child_hints {
namespace {

constexpr unsigned kCells = 64;

enum State : int { empty, claimed, full };
struct Cell {
    std::atomic<int> state{empty};
    std::atomic<int32_t> pid{0};
    std::atomic<int> status{0};
};
constinit Cell cells[kCells] = {};
constinit std::atomic<unsigned> next{0};
constinit std::atomic<bool> signalled{false};
constinit std::atomic<bool> overflown{false};

}  // namespace

int status_of(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
    return info.si_code == CLD_DUMPED ? info.si_status | 0x80 : info.si_status;
}

void leave(const siginfo_t& info) {
    const bool exited =
        info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    if (exited) {
        Cell& cell = cells[next.fetch_add(1) % kCells];
        int was = empty;
        if (cell.state.compare_exchange_strong(was, claimed)) {
            cell.pid.store(static_cast<int32_t>(info.si_pid));
            cell.status.store(status_of(info));
            cell.state.store(full);
        } else {
            overflown.store(true);
        }
    }
    signalled.store(true);
    (void)bells::ring_for_children();
}

bool heard(bool& lost) {
    lost = overflown.exchange(false);
    return signalled.exchange(false);
}

bool take(Hint& hint) {
    for (Cell& cell : cells) {
        if (cell.state.load() != full) continue;
        hint.pid = cell.pid.load();
        hint.status = cell.status.load();
        cell.state.store(empty);
        return true;
    }
    return false;
}

}  // namespace kq::child_hints
