// SPDX-License-Identifier: BSD-2-Clause
// The part of posix.h about files by their names.
#include <windows.h>

#include <errno.h>
#include <io.h>
#include <string.h>

#include <atomic>
#include <string>

#include "support/windows/posix.h"

using namespace kqposix;

namespace {

// `rights` is a GENERIC_ or FILE_ constant. While the file is open others may use it in any way.
HANDLE open_path(const char* path, DWORD rights) {
    return CreateFileA(path, rights, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                       nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
}

int answer(bool done) {
    if (done) return 0;
    switch (GetLastError()) {
        case ERROR_ALREADY_EXISTS:
        case ERROR_FILE_EXISTS:
            errno = EEXIST;
            break;
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
            errno = ENOENT;
            break;
        case ERROR_DIR_NOT_EMPTY:
            errno = ENOTEMPTY;
            break;
        default:
            errno = EACCES;
    }
    return -1;
}

// As POSIX has it: the name goes at once, although the file is open. False where the system does
// not do that.
bool unlink_at_once(const char* path) {
    struct {  // FILE_DISPOSITION_INFO_EX
        DWORD flags;
    } how{1 | 2 | 16};  // delete, POSIX semantics, also if it may only be read
    constexpr auto kFileDispositionInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(21);
    const HANDLE file = open_path(path, DELETE);
    if (file == INVALID_HANDLE_VALUE) return false;
    const bool done =
        SetFileInformationByHandle(file, kFileDispositionInfoEx, &how, sizeof how) != 0;
    CloseHandle(file);
    return done;
}

// Those that may not be written are read-only, those that others may not read are hidden.
DWORD attributes(int mode) {
    const DWORD closed = (mode & 0200) == 0 ? FILE_ATTRIBUTE_READONLY : 0;
    const DWORD hidden = (mode & 0004) == 0 ? FILE_ATTRIBUTE_HIDDEN : 0;
    return (closed | hidden) != 0 ? closed | hidden : FILE_ATTRIBUTE_NORMAL;
}

// Fills the XXXXXX at the end with another name at each call.
void fill_in(char* path) {
    static std::atomic<unsigned> next{0};
    // Wine gives the same process numbers again each time that it is started.
    static const auto start =
        static_cast<unsigned>(GetCurrentProcessId() * 7919 + GetTickCount64());
    unsigned number = start + next++;
    char* end = path + strlen(path) - 6;
    for (int i = 0; i < 6; i++, number /= 26)
        end[i] = static_cast<char>('a' + number % 26);
}

}  // namespace

// ---- names of the C library ----

int unlink(const char* path) {
    return unlink_at_once(path) ? 0 : answer(DeleteFileA(path) != 0);
}

int rename(const char* from, const char* to) {
    return answer(MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) != 0);
}

int chmod(const char* path, int mode) {
    return answer(SetFileAttributesA(path, attributes(mode)) != 0);
}

int mkstemp(char* path) {
    for (int tries = 0; tries < 1000; tries++) {
        fill_in(path);
        const int fd = open(path, _O_RDWR | _O_CREAT | _O_EXCL);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

namespace kqposix {

int mkdir(const char* path, int /*mode*/) {
    return answer(CreateDirectoryA(path, nullptr) != 0);
}

char* mkdtemp(char* path) {
    for (int tries = 0; tries < 1000; tries++) {
        fill_in(path);
        if (mkdir(path, 0700) == 0) return path;
        if (errno != EEXIST) break;
    }
    return nullptr;
}

int link(const char* from, const char* to) {
    return answer(CreateHardLinkA(to, from, nullptr) != 0);
}

int utimes(const char* path, const timeval* times) {
    const HANDLE file = open_path(path, FILE_WRITE_ATTRIBUTES);
    FILETIME all[2];
    GetSystemTimeAsFileTime(&all[0]);
    all[1] = all[0];
    for (int i = 0; times != nullptr && i < 2; i++) {
        constexpr int64_t kEpoch = 116444736000000000;  // of POSIX, in units of 100 ns
        const int64_t time = kEpoch + int64_t{times[i].tv_sec} * 10'000'000 + times[i].tv_usec * 10;
        all[i] = {static_cast<DWORD>(time), static_cast<DWORD>(time >> 32)};
    }
    const int result =
        answer(file != INVALID_HANDLE_VALUE && SetFileTime(file, nullptr, &all[0], &all[1]) != 0);
    CloseHandle(file);
    return result;
}

int fchmod(int fd, int mode) {
    const auto file = reinterpret_cast<HANDLE>(_get_osfhandle(fd));
    FILE_BASIC_INFO info{};  // times of 0 stay as they are
    info.FileAttributes = attributes(mode);
    return answer(SetFileInformationByHandle(file, FileBasicInfo, &info, sizeof info) != 0);
}

int fchown(int fd, int /*user*/, int /*group*/) {
    return fchmod(fd, 0644);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, int64_t offset) {
    const auto file = reinterpret_cast<HANDLE>(_get_osfhandle(fd));
    const int64_t before = _lseeki64(fd, 0, SEEK_CUR);
    OVERLAPPED where{};
    where.Offset = static_cast<DWORD>(offset);
    where.OffsetHigh = static_cast<DWORD>(offset >> 32);
    DWORD written = 0;
    // This moves the offset of the file.
    const bool done = WriteFile(file, bytes, static_cast<DWORD>(size), &written, &where) != 0;
    _lseeki64(fd, before, SEEK_SET);
    return done ? static_cast<ssize_t>(written) : answer(false);
}

ssize_t pwrite(int fd, const void* bytes, int size, int64_t offset) {
    return pwrite(fd, bytes, static_cast<size_t>(size), offset);
}

}  // namespace kqposix
