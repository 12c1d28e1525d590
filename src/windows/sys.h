// SPDX-License-Identifier: BSD-2-Clause
// The headers of the system, only for the .cc files of this directory, and its errors as Errno.
#ifndef KQ_WINDOWS_SYS_H
#define KQ_WINDOWS_SYS_H

#include <winsock2.h>
// winsock2.h has to come before windows.h
#include <windows.h>

#include "result.h"

namespace kq::sys {

// What GetLastError() and WSAGetLastError() say, in the words of <errno.h>.
Errno from_code(unsigned long code);
inline Errno last_error() {
    return from_code(GetLastError());
}
// The same for an answer of the kernel.
Errno from_status(long status);

}  // namespace kq::sys

#endif
