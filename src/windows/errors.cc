// SPDX-License-Identifier: BSD-2-Clause
// Errors of Windows in the words of <errno.h>. See sys.h.
#include "nt.h"
#include "sys.h"

namespace kq::sys {
namespace {

struct Row {
    unsigned long code;
    int number;
};

constexpr Row kRows[] = {
    {ERROR_ACCESS_DENIED, EACCES},
    {ERROR_BROKEN_PIPE, EPIPE},
    {ERROR_CALL_NOT_IMPLEMENTED, ENOSYS},
    {ERROR_COMMITMENT_LIMIT, ENOMEM},
    {ERROR_CONNECTION_REFUSED, ECONNREFUSED},
    {ERROR_CONNECTION_ABORTED, ECONNABORTED},
    {ERROR_FILE_NOT_FOUND, ENOENT},
    {ERROR_HOST_UNREACHABLE, EHOSTUNREACH},
    {ERROR_INVALID_HANDLE, EBADF},
    {ERROR_INVALID_PARAMETER, EINVAL},
    {ERROR_NETNAME_DELETED, ECONNRESET},
    {ERROR_NETWORK_UNREACHABLE, ENETUNREACH},
    {ERROR_NO_SYSTEM_RESOURCES, ENOMEM},
    {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
    {ERROR_NOT_ENOUGH_QUOTA, ENOMEM},
    {ERROR_NOT_SUPPORTED, ENOTSUP},
    {ERROR_OUTOFMEMORY, ENOMEM},
    {ERROR_PATH_NOT_FOUND, ENOENT},
    {ERROR_PORT_UNREACHABLE, ECONNREFUSED},
    {ERROR_SEM_TIMEOUT, ETIMEDOUT},
    {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
    {WAIT_TIMEOUT, ETIMEDOUT},
    {WSAEACCES, EACCES},
    {WSAEADDRINUSE, EADDRINUSE},
    {WSAEBADF, EBADF},
    {WSAECONNABORTED, ECONNABORTED},
    {WSAECONNREFUSED, ECONNREFUSED},
    {WSAECONNRESET, ECONNRESET},
    {WSAEFAULT, EFAULT},
    {WSAEHOSTUNREACH, EHOSTUNREACH},
    {WSAEINVAL, EINVAL},
    {WSAEMFILE, EMFILE},
    {WSAENETDOWN, ENETDOWN},
    {WSAENETRESET, ENETRESET},
    {WSAENETUNREACH, ENETUNREACH},
    {WSAENOBUFS, ENOMEM},
    {WSAENOTSOCK, EBADF},
    {WSAETIMEDOUT, ETIMEDOUT},
};

}  // namespace

Errno from_code(unsigned long code) {
    if (code == 0) return Errno::ok;
    for (const Row& row : kRows)
        if (row.code == code) return static_cast<Errno>(row.number);
    return static_cast<Errno>(EIO);
}

Errno from_status(long status) {
    return status >= 0 ? Errno::ok : from_code(RtlNtStatusToDosError(status));
}

}  // namespace kq::sys
