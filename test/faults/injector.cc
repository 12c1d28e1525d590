// SPDX-License-Identifier: BSD-2-Clause
// Decides which calls are refused. See injector.h.
#include "faults/injector.h"

#include <sys/syscall.h>

#include <bitset>
#include <cerrno>
#include <cstring>
#include <utility>

#include "faults/calls.h"
#include "faults/dispatch.h"
#include "faults/memory.h"

namespace kqfaults {
namespace {

struct State {
    int inside = 0;
    What what = What::nothing;
    unsigned position = 0;
    unsigned reason = 0;
    unsigned seen = 0;
    bool reached = false;
    bool fired = false;
    int error = 0;
    const Call* call = nullptr;
    const char* name = nullptr;
};
State state;
bool prepared = false;

long unlisted_number = -1;
constexpr size_t kMostRows = 128;
std::bitset<kMostRows> used;

void set_inside(int inside) {
    state.inside = inside;
    if (prepared) set_dispatched(inside > 0);
}

// The errno to refuse with, or 0.
int refusal(const Call& call) {
    if (state.what == What::named && !state.fired && strcmp(state.name, call.name) == 0) {
        state.reached = state.fired = true;
        return state.error;
    }
    if (state.what != What::system_call || call.errors[0] == 0) return 0;
    if (++state.seen != state.position) return 0;
    state.reached = true;
    state.call = &call;
    if (state.reason >= kMostReasons) return 0;
    state.error = call.errors[state.reason];
    state.fired = state.error != 0;
    return state.error;
}

long answer(long number, const long (&a)[6]) {
    const Call* call = row_of(number, a);
    if (call == nullptr) {
        if (unlisted_number < 0) unlisted_number = number;
        return through(number, a);
    }
    used.set(static_cast<size_t>(call - calls().data()));
    if (state.what == What::proc && needs_proc(number, a)) {
        state.reached = state.fired = true;
        return -(state.error = ENOENT);
    }
    const int error = refusal(*call);
    if (error == 0) return through(number, a);
    if (call->done) (void)through(number, a);
    return -error;
}

}  // namespace

long on_system_call(long number, const long (&a)[6]) {
    if (state.inside == 0) return through(number, a);
    // While this system call runs, handlers of signals may make system calls that come here again.
    return answer(number, a);
}

bool prepare() {
    static const bool done = prepared = begin_dispatch();
    return done;
}

Inside::Inside() {
    set_inside(state.inside + 1);
}

Inside::~Inside() {
    set_inside(state.inside - 1);
}

Outside::Outside() : inside_(state.inside) {
    set_inside(0);
}

Outside::~Outside() {
    set_inside(inside_);
}

void arm(What what, unsigned position, unsigned reason) {
    const int inside = state.inside;
    state = State{};
    state.inside = inside;
    state.what = what;
    state.position = position;
    state.reason = reason;
    if (what == What::limit) {
        state.fired = true;
        state.error = EMFILE;
    }
}

void refuse(const char* name, int error) {
    arm(What::named);
    state.name = name;
    state.error = error;
}

Report report() {
    std::string what = "nothing";
    if (state.what == What::allocation) what = "allocation " + std::to_string(state.position);
    if (state.what == What::proc) what = "/proc";
    if (state.what == What::system_call && state.call != nullptr)
        what = "call " + std::to_string(state.position) + ", " + state.call->name + ": " +
               strerror(state.error);
    return {state.reached, state.fired, state.error, what};
}

std::string take_unlisted() {
    const long number = std::exchange(unlisted_number, -1);
    return number < 0 ? "" : "system call " + std::to_string(number);
}

std::string unused() {
    std::string all;
    for (size_t i = 0; i < calls().size(); i++)
        if (!used.test(i) && !calls()[i].rare) all += std::string(calls()[i].name) + "\n";
    return all;
}

bool is_inside() {
    return state.inside > 0;
}

bool refuses_allocation() {
    if (state.what != What::allocation || ++state.seen != state.position) return false;
    state.reached = state.fired = true;
    state.error = ENOMEM;
    return true;
}

}  // namespace kqfaults
