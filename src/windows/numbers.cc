// SPDX-License-Identifier: BSD-2-Clause
// Numbers. See numbers.h.
#include "numbers.h"

#include <io.h>
#include <stdlib.h>

#include "sys.h"

namespace kq::numbers {

bool is_socket(int number) {
    if (number <= 0 || number % 4 != 0) return false;
    int type = 0;
    int size = sizeof type;
    return getsockopt(static_cast<SOCKET>(static_cast<unsigned>(number)), SOL_SOCKET, SO_TYPE,
                      reinterpret_cast<char*>(&type), &size) == 0;
}

// Headers of MinGW define _UCRT. Microsoft's compiler has no other C library.
#if defined(_UCRT) || defined(_MSC_VER)
namespace {

// The universal C library ends the process for a number that is not open, unless it has a handler
// for that. Its debug version also shows a window before (BUGS.md, W-CRT).
void ignore(const wchar_t* /*expression*/, const wchar_t* /*function*/, const wchar_t* /*file*/,
            unsigned /*line*/, uintptr_t /*reserved*/) {}

intptr_t ask(int number) {
    const auto before = _set_thread_local_invalid_parameter_handler(ignore);
    const intptr_t handle = _get_osfhandle(number);
    _set_thread_local_invalid_parameter_handler(before);
    return handle;
}

}  // namespace
#else
static intptr_t ask(int number) {
    return _get_osfhandle(number);
}
#endif

void* handle_of(int number) {
    if (number < 0) return nullptr;
    const intptr_t handle = ask(number);
    constexpr intptr_t kNoStream = -2;  // standard streams of programs with windows
    if (handle == -1 || handle == kNoStream) return nullptr;
    return reinterpret_cast<void*>(handle);
}

}  // namespace kq::numbers
