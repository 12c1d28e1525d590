// SPDX-License-Identifier: BSD-2-Clause
// Knotes with EV_UDATA_SPECIFIC, and how they end, while the system refuses.
#include "faults/scenarios.h"

namespace kqfaults {
namespace {

// Two knotes of one direction. One of them has EV_UDATA_SPECIFIC.
void several(Driver& d) {
    constexpr unsigned kSpecific = EV_UDATA_SPECIFIC;
    const Ends pipe = make_pipe();
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(pipe.first);
    put(pipe.second);
    for (const unsigned mode : {0, EV_CLEAR}) {
        d.change(queue, fd, kRead, EV_ADD | EV_DISPATCH2);
        d.change(queue, fd, kRead, EV_ADD | mode);
        d.expect(queue, {{fd, kRead}});
        d.change(queue, fd, kRead, EV_ENABLE | kSpecific);
        d.expect(queue, {{fd, kRead}});
        d.change(queue, fd, kRead, EV_DELETE | EV_ENABLE | kSpecific);
        d.change(queue, fd, kRead, EV_DELETE);
        d.expect_none(queue);
    }
}

// Knotes that end in two steps, and a descriptor that is closed under its knote.
void farewells(Driver& d) {
    constexpr unsigned kSpecific = EV_UDATA_SPECIFIC;
    Ends pipe = make_pipe();
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(pipe.first);
    put(pipe.second);
    d.change(queue, fd, kRead, EV_ADD | EV_DISPATCH2 | EV_ONESHOT);
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_ENABLE | kSpecific);
    d.expect(queue, {{fd, kRead}});
    d.change(queue, 1, EVFILT_USER, EV_ADD | EV_DISPATCH2 | EV_ONESHOT, NOTE_TRIGGER);
    d.expect(queue, {{1, EVFILT_USER}});
    d.change(queue, fd, kRead, EV_ADD | EV_DISPATCH2 | EV_VANISHED);
    d.expect(queue, {{fd, kRead}});
    pipe.first.reset();
    d.change(queue, fd, kRead, EV_ENABLE | kSpecific);
    d.change(queue, 1, EVFILT_USER, EV_ENABLE | kSpecific);
    d.expect(queue, {{1, EVFILT_USER}, {fd, kRead}});
    d.change(queue, fd, kRead, EV_ENABLE | kSpecific);
    d.expect(queue, {{fd, kRead}});
    d.expect_none(queue);
}

}  // namespace

std::vector<Scenario> specific_scenarios() {
    return {{"several", several}, {"farewells", farewells}};
}

}  // namespace kqfaults
