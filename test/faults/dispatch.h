// SPDX-License-Identifier: BSD-2-Clause
// Every system call of this thread comes here while that is wanted: Linux' syscall user dispatch.
//
// A byte of ours says whether; the kernel turns the call into SIGSYS, whose handler asks
// on_system_call() for the result. Wherever it is made: in the library, in the C library
// beneath it. x86-64, Linux 5.11; not inherited by children.
#ifndef KQFAULTS_DISPATCH_H
#define KQFAULTS_DISPATCH_H

#include <type_traits>

namespace kqfaults {

// Puts it in place, for good. False where there is none.
bool begin_dispatch();
// While it is on, after begin_dispatch().
void set_dispatched(bool on);

// What the call returns, as the kernel would: -errno. To be defined by the user of this.
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
