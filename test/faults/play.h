// SPDX-License-Identifier: BSD-2-Clause
// Plays a scenario, and checks that the library has done what it must.
#ifndef KQFAULTS_PLAY_H
#define KQFAULTS_PLAY_H

#include <functional>
#include <string>

#include "faults/driver.h"

namespace kqfaults {

// not_of_leaks: the scenario may make things that are kept for good, so leaks are not checked.
enum class Account : unsigned char { all, not_of_leaks };

// Plays the scenario once. Returns an empty text, or says what is wrong. `relieve` removes the
// fault after a refused call. `before` is called before each call.
std::string play(
    const Scenario& scenario, std::function<void()> relieve = [] {},
    std::function<void()> before = {}, Account account = Account::all);

// Makes the library keep what it needs for several kqueues at a time.
void keep_room_for_kqueues();

// Whether the scenario can be played here at all.
bool is_possible(const Scenario& scenario);

}  // namespace kqfaults

#endif
