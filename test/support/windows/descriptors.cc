// SPDX-License-Identifier: BSD-2-Clause
// The part of posix.h about descriptors of the C library.
#include <windows.h>
// before winternl.h
#include <winternl.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "support/windows/posix.h"

using namespace kqposix;

namespace {

HANDLE handle_of(int fd) {
    return reinterpret_cast<HANDLE>(_get_osfhandle(fd));
}

bool is_pipe(int fd) {
    const HANDLE handle = handle_of(fd);
    return handle != INVALID_HANDLE_VALUE && GetFileType(handle) == FILE_TYPE_PIPE;
}

// The name that the library gives to its pipes: src/README.md, "The number of a kqueue".
bool is_kqueue(int fd) {
    alignas(FILE_NAME_INFO) char memory[1024];
    auto* info = reinterpret_cast<FILE_NAME_INFO*>(memory);
    if (!is_pipe(fd) ||
        !GetFileInformationByHandleEx(handle_of(fd), FileNameInfo, info, sizeof memory))
        return false;
    const std::wstring name(info->FileName, info->FileNameLength / sizeof(wchar_t));
    return name.find(L"libkqueue-") != std::wstring::npos;
}

// How many bytes could be read: -1 after the end of the pipe.
long bytes_in_pipe(int fd) {
    DWORD bytes = 0;
    return PeekNamedPipe(handle_of(fd), nullptr, 0, nullptr, &bytes, nullptr)
               ? static_cast<long>(bytes)
               : -1;
}

// How many bytes a pipe has room for. -1: the system does not say (Wine).
long room_in_pipe(int fd) {
    struct {  // FILE_PIPE_LOCAL_INFORMATION
        ULONG type, configuration, most, current, in_quota, readable, out_quota, writable, state,
            end;
    } info{};
    using Query = NTSTATUS(NTAPI*)(HANDLE, IO_STATUS_BLOCK*, void*, ULONG, int);
    static const auto query = reinterpret_cast<Query>(reinterpret_cast<void*>(
        GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtQueryInformationFile")));
    constexpr int kFilePipeLocalInformation = 24;
    IO_STATUS_BLOCK status;
    if (query(handle_of(fd), &status, &info, sizeof info, kFilePipeLocalInformation) != 0)
        return -1;
    return info.out_quota == 0 ? -1 : static_cast<long>(info.writable);
}

// A handle as a descriptor; takes it.
int descriptor_of(HANDLE handle, int flags) {
    if (handle == INVALID_HANDLE_VALUE) {
        switch (GetLastError()) {
            case ERROR_FILE_EXISTS:
                errno = EEXIST;
                break;
            case ERROR_ACCESS_DENIED:
            case ERROR_SHARING_VIOLATION:
                errno = EACCES;
                break;
            default:
                errno = ENOENT;
        }
        return -1;
    }
    return _open_osfhandle(reinterpret_cast<intptr_t>(handle),
                           (flags & (_O_APPEND | _O_RDONLY)) | _O_BINARY | _O_NOINHERIT);
}

DWORD disposition_of(int flags) {
    if ((flags & _O_CREAT) == 0) return (flags & _O_TRUNC) != 0 ? TRUNCATE_EXISTING : OPEN_EXISTING;
    if ((flags & _O_EXCL) != 0) return CREATE_NEW;
    return (flags & _O_TRUNC) != 0 ? CREATE_ALWAYS : OPEN_ALWAYS;
}

bool is_kqueue_ready(int fd) {
    const int outer = kqueue();
    struct kevent kev;
    EV_SET(&kev, static_cast<uintptr_t>(fd), EVFILT_READ, EV_ADD, 0, 0, nullptr);
    const timespec at_once{0, 0};
    const int count = kevent(outer, &kev, 1, &kev, 1, &at_once);
    const bool ready = count == 1 && (kev.flags & EV_ERROR) == 0;
    _close(outer);
    return ready;
}

short poll_one(int fd, short events) {
    if (is_socket(fd)) return poll_socket(fd, events);
    if (handle_of(fd) == INVALID_HANDLE_VALUE) return POLLNVAL;
    if (is_kqueue(fd)) return is_kqueue_ready(fd) ? static_cast<short>(events & POLLIN) : short{0};
    if (!is_pipe(fd)) return static_cast<short>(events & (POLLIN | POLLOUT));
    DWORD bytes = 0;
    if (PeekNamedPipe(handle_of(fd), nullptr, 0, nullptr, &bytes, nullptr))
        return bytes > 0 ? static_cast<short>(events & POLLIN) : short{0};
    if (GetLastError() == ERROR_BROKEN_PIPE) return POLLHUP;
    return room_in_pipe(fd) != 0 ? static_cast<short>(events & POLLOUT) : short{0};
}

// The temporary directory is where Windows has it.
const bool begun = [] {
    char directory[MAX_PATH + 1];
    DWORD length = GetTempPathA(sizeof directory, directory);
    while (length > 0 && directory[length - 1] == '\\')
        directory[--length] = '\0';
    _putenv_s("TMPDIR", directory);
    return true;
}();

}  // namespace

// ---- names of the C library ----

int close(int fd) {
    if (is_socket(fd)) return forget_socket(fd);
    remember_nonblock(fd, false);
    return _close(fd);
}

int dup(int fd) {
    return is_socket(fd) ? duplicate_socket(fd) : _dup(fd);
}

int dup2(int fd, int number) {
    return _dup2(fd, number) == 0 ? number : -1;
}

int open(const char* path, int flags, ...) {
    const int access = flags & (_O_WRONLY | _O_RDWR);
    DWORD rights = access == _O_RDWR     ? GENERIC_READ | GENERIC_WRITE
                   : access == _O_WRONLY ? GENERIC_WRITE
                                         : GENERIC_READ;
    const std::string name = strcmp(path, "/dev/null") == 0 ? "NUL" : path;
    return descriptor_of(
        CreateFileA(name.c_str(), rights, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    nullptr, disposition_of(flags), FILE_FLAG_BACKUP_SEMANTICS, nullptr),
        flags);
}

int read(int fd, void* out, unsigned size) {
    return static_cast<int>(kqposix::read(fd, out, size_t{size}));
}

int write(int fd, const void* bytes, unsigned size) {
    return static_cast<int>(kqposix::write(fd, bytes, size_t{size}));
}

namespace kqposix {

ssize_t read(int fd, void* out, size_t size) {
    if (is_socket(fd)) return read_socket(fd, out, size);
    if (is_nonblock(fd) && is_pipe(fd)) {
        const long there = bytes_in_pipe(fd);
        if (there < 0) return 0;
        if (there == 0) return errno = EAGAIN, -1;
    }
    // Not by _read(), which for Wine's C library finds nothing more behind an end of file.
    const HANDLE handle = handle_of(fd);
    if (handle == INVALID_HANDLE_VALUE) return errno = EBADF, -1;
    DWORD got = 0;
    if (ReadFile(handle, out, static_cast<DWORD>(std::min<size_t>(size, 1u << 30)), &got, nullptr))
        return static_cast<ssize_t>(got);
    const bool ended = GetLastError() == ERROR_BROKEN_PIPE || GetLastError() == ERROR_HANDLE_EOF;
    return ended ? 0 : (errno = EBADF, -1);
}

ssize_t write(int fd, const void* bytes, size_t size) {
    if (is_socket(fd)) return write_socket(fd, bytes, size);
    if (is_nonblock(fd) && is_pipe(fd)) {
        const long room = room_in_pipe(fd);
        if (room < 0) return errno = ENOSYS, -1;
        if (room == 0) return errno = EAGAIN, -1;
        size = std::min(size, static_cast<size_t>(room));
    }
    return _write(fd, bytes, static_cast<unsigned>(std::min<size_t>(size, 1u << 30)));
}

int pipe(int ends[2]) {
    return _pipe(ends, 65536, _O_BINARY | _O_NOINHERIT);
}

int fcntl(int fd, int what, int flags) {
    const bool socket = is_socket(fd);
    const HANDLE handle = socket ? reinterpret_cast<HANDLE>(intptr_t{fd}) : handle_of(fd);
    if (handle == INVALID_HANDLE_VALUE) return errno = EBADF, -1;
    DWORD information = 0;
    switch (what) {
        case F_DUPFD:
        case F_DUPFD_CLOEXEC:
            if (socket) return duplicate_socket(fd);
            while (handle_of(flags) != INVALID_HANDLE_VALUE)
                flags++;
            return dup2(fd, flags);
        case F_GETFD:
            if (!GetHandleInformation(handle, &information)) return errno = EBADF, -1;
            return (information & HANDLE_FLAG_INHERIT) != 0 ? 0 : FD_CLOEXEC;
        case F_GETFL:
            return is_nonblock(fd) ? O_NONBLOCK : 0;
        case F_SETFL:
            if (socket) return set_socket_nonblock(fd, (flags & O_NONBLOCK) != 0) ? 0 : -1;
            remember_nonblock(fd, (flags & O_NONBLOCK) != 0);
            return 0;
        default:
            return errno = ENOSYS, -1;
    }
}

int setenv(const char* name, const char* value, int /*replace*/) {
    return _putenv_s(name, value);
}

int unsetenv(const char* name) {
    return _putenv_s(name, "");
}

int poll(pollfd* fds, unsigned count, int timeout) {
    const ULONGLONG start = GetTickCount64();
    for (;;) {
        int ready = 0;
        for (unsigned i = 0; i < count; i++) {
            fds[i].revents = fds[i].fd < 0 ? short{0} : poll_one(fds[i].fd, fds[i].events);
            ready += fds[i].revents != 0;
        }
        if (ready > 0 || timeout == 0) return ready;
        if (timeout > 0 && GetTickCount64() - start >= static_cast<ULONGLONG>(timeout)) return 0;
        Sleep(1);
    }
}

bool is_in(int fd, const fd_set* set) {
    return std::find(set->fds, set->fds + set->count, fd) != set->fds + set->count;
}

int select(int /*count*/, fd_set* readable, fd_set* /*writable*/, fd_set* /*others*/,
           timeval* timeout) {
    pollfd fds[16];
    for (int i = 0; i < readable->count; i++)
        fds[i] = {readable->fds[i], POLLIN, 0};
    const int limit = timeout == nullptr
                          ? -1
                          : static_cast<int>(timeout->tv_sec * 1000 + timeout->tv_usec / 1000);
    const int ready = poll(fds, static_cast<unsigned>(readable->count), limit);
    const int asked = readable->count;
    readable->count = 0;
    for (int i = 0; i < asked; i++)
        if (fds[i].revents != 0) FD_SET(fds[i].fd, readable);
    return ready;
}

int getrlimit(int /*what*/, rlimit* limit) {
    *limit = {2048, 2048};
    return 0;
}

int setrlimit(int what, const rlimit* limit) {
    rlimit now;
    getrlimit(what, &now);
    return limit->rlim_cur == now.rlim_cur ? 0 : (errno = ENOSYS, -1);
}

}  // namespace kqposix
