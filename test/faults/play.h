// SPDX-License-Identifier: BSD-2-Clause
// A scenario is played, and account is taken of what the library owed.
#ifndef KQFAULTS_PLAY_H
#define KQFAULTS_PLAY_H

#include <functional>
#include <string>

#include "faults/driver.h"

namespace kqfaults {

// What is kept for good may be made in it, or not.
enum class Account : unsigned char { all, not_of_leaks };

// Plays it once: empty, or what is wrong. `relieve` takes the fault away when a call was refused,
// `before` is called before each call.
std::string play(
    const Scenario& scenario, std::function<void()> relieve = [] {},
    std::function<void()> before = {}, Account account = Account::all);

// Has the library keep what several kqueues at a time need of it.
void keep_room_for_kqueues();

// Whether it can be played here at all.
bool is_possible(const Scenario& scenario);

}  // namespace kqfaults

#endif
