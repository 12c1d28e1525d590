// SPDX-License-Identifier: BSD-2-Clause
// What can be seen of a file: for EVFILT_VNODE. Contract: namespace descriptor of platform.h.
// No state, no lock.
#include "files.h"
#include "numbers.h"
#include "platform.h"
#include "sys.h"

namespace kq::descriptor {
namespace {

constexpr int64_t kUnit = 100;  // of the system's times, in ns

int64_t nanos(const LARGE_INTEGER& time) {
    return time.QuadPart * kUnit;
}

}  // namespace

Errno file_state(int fd, FdFacts& facts, FileState& state) {
    void* handle = numbers::is_socket(fd) ? nullptr : numbers::handle_of(fd);
    if (facts.kind == FdKind::unknown) {
        const Errno error = classify(fd, facts);
        if (error != Errno::ok) return error;
    } else {
        const Errno error = check_same(fd, facts);
        if (error != Errno::ok) return error;
    }
    state.directory = facts.kind == FdKind::directory;
    state.named = state.directory || facts.kind == FdKind::regular;
    if (!state.named) return Errno::ok;
    FILE_BASIC_INFO basic;
    FILE_STANDARD_INFO standard;
    if (GetFileInformationByHandleEx(handle, FileBasicInfo, &basic, sizeof basic) == 0 ||
        GetFileInformationByHandleEx(handle, FileStandardInfo, &standard, sizeof standard) == 0)
        return sys::last_error();
    state.size = standard.EndOfFile.QuadPart;
    state.links = standard.DeletePending != 0 ? 0 : standard.NumberOfLinks;
    state.modified = nanos(basic.LastWriteTime);
    state.changed = nanos(basic.ChangeTime);
    state.mode = basic.FileAttributes;
    return Errno::ok;
}

uint64_t name(int fd) {
    constexpr DWORD kLongest = 1024;
    wchar_t path[kLongest];
    void* handle = numbers::handle_of(fd);
    if (handle == nullptr) return 0;
    const DWORD length = GetFinalPathNameByHandleW(handle, path, kLongest, VOLUME_NAME_NT);
    if (length == 0 || length >= kLongest) return 0;
    uint64_t hash = 14695981039346656037u;
    for (DWORD i = 0; i < length; i++)
        hash = (hash ^ path[i]) * 1099511628211u;
    return hash == 0 ? 1 : hash;
}

}  // namespace kq::descriptor
