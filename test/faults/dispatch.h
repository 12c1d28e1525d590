// SPDX-License-Identifier: BSD-2-Clause
// While this is switched on, every system call of this thread comes here. It uses syscall user
// dispatch of Linux.
//
// A byte in our memory switches it on and off. The kernel turns each call into SIGSYS. The handler
// of SIGSYS asks on_system_call() for the result. This catches calls of the library, and calls that
// the C library makes for it. It needs x86-64 and Linux 5.11. Children do not inherit it.
#ifndef KQFAULTS_DISPATCH_H
#define KQFAULTS_DISPATCH_H

#include <type_traits>

namespace kqfaults {

// Prepares it, for the rest of the process. False if the system does not have it.
bool begin_dispatch();
// Switches it on or off. Call begin_dispatch() first.
void set_dispatched(bool on);

// What the call returns, as from the kernel: -errno for an error. The user of this file defines it.
long on_system_call(long number, const long (&a)[6]);

// Makes a system call that is never dispatched.
long through(long number, const long (&a)[6]);

namespace detail {
template <class T>
long as_long(T argument) {
    if constexpr (std::is_pointer_v<T>)
        return reinterpret_cast<long>(argument);
    else
        return static_cast<long>(argument);
}
}  // namespace detail

template <class... Arguments>
long through_with(long number, Arguments... arguments) {
    const long a[6] = {detail::as_long(arguments)...};
    return through(number, a);
}

}  // namespace kqfaults

#endif
