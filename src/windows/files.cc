// SPDX-License-Identifier: BSD-2-Clause
// Files, pipes, consoles. See files.h.
#include "files.h"

#include <atomic>

#include "nt.h"
#include "numbers.h"

namespace kq::files {
namespace {

constexpr uint32_t kRead = 1;   // FILE_READ_DATA
constexpr uint32_t kWrite = 2;  // FILE_WRITE_DATA

uint32_t mix(uint64_t a, uint64_t b) {
    const uint64_t h = (a ^ (b << 1 | b >> 63)) * 0x9E3779B97F4A7C15u;
    const auto folded = static_cast<uint32_t>(h >> 32);
    return folded == 0 ? 1 : folded;
}

uint32_t access_of(void* handle) {
    nt::StatusBlock result{};
    uint32_t access = 0;
    const long status =
        NtQueryInformationFile(handle, &result, &access, sizeof access, nt::kFileAccessInformation);
    return status < 0 ? kRead | kWrite : access;
}

bool is_directory(void* handle) {
    BY_HANDLE_FILE_INFORMATION info;
    return GetFileInformationByHandle(handle, &info) != 0 &&
           (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

bool is_console(void* handle) {
    DWORD mode = 0;
    return GetConsoleMode(handle, &mode) != 0;
}

// While there is something to read, a look at it does not tell that the writers are gone.
bool has_ended(void* handle) {
    nt::StatusBlock result{};
    nt::PipeInformation pipe{};
    return NtQueryInformationFile(handle, &result, &pipe, sizeof pipe,
                                  nt::kFilePipeLocalInformation) >= 0 &&
           pipe.state == nt::kPipeClosing;
}

uint16_t poll_pipe_for_reading(void* handle) {
    DWORD bytes = 0;
    if (PeekNamedPipe(handle, nullptr, 0, nullptr, &bytes, nullptr) != 0) {
        if (bytes == 0) return 0;
        return has_ended(handle) ? uint16_t{kReadable | kHangup} : uint16_t{kReadable};
    }
    const DWORD code = GetLastError();
    const bool ended =
        code == ERROR_BROKEN_PIPE || code == ERROR_PIPE_NOT_CONNECTED || code == ERROR_BAD_PIPE;
    return ended ? uint16_t{kHangup} : uint16_t{0};
}

// Whether this system counts the free space of pipes. An empty pipe shows it. Wine does not count.
bool counts_free_space() {
    static constinit std::atomic<int> known{0};
    if (known.load() != 0) return known.load() > 0;
    void* reader = nullptr;
    void* writer = nullptr;
    if (CreatePipe(&reader, &writer, nullptr, 1024) == 0) return true;
    nt::StatusBlock result{};
    nt::PipeInformation pipe{};
    const long status =
        NtQueryInformationFile(writer, &result, &pipe, sizeof pipe, nt::kFilePipeLocalInformation);
    CloseHandle(reader);
    CloseHandle(writer);
    known.store(status >= 0 && pipe.writable != 0 ? 1 : -1);
    return known.load() > 0;
}

uint16_t poll_pipe_for_writing(void* handle) {
    nt::StatusBlock result{};
    nt::PipeInformation pipe{};
    const long status =
        NtQueryInformationFile(handle, &result, &pipe, sizeof pipe, nt::kFilePipeLocalInformation);
    if (status < 0) return kWritable;  // it cannot be found out
    if (pipe.state == nt::kPipeClosing) return kFailed;
    const bool full = pipe.writable == 0 && pipe.outbound_quota != 0 && counts_free_space();
    return full ? uint16_t{0} : uint16_t{kWritable};
}

// Characters that wait. A key that is released, or the mouse, is nothing to read.
int64_t keys_in_console(void* handle) {
    constexpr DWORD kMost = 64;
    INPUT_RECORD records[kMost];
    DWORD count = 0;
    if (PeekConsoleInputW(handle, records, kMost, &count) == 0) return 0;
    int64_t keys = 0;
    for (DWORD i = 0; i < count; i++) {
        const INPUT_RECORD& record = records[i];
        if (record.EventType == KEY_EVENT && record.Event.KeyEvent.bKeyDown != 0 &&
            record.Event.KeyEvent.uChar.UnicodeChar != 0)
            keys++;
    }
    return keys;
}

Sample readable_file(void* handle) {
    Sample sample;
    LARGE_INTEGER size{};
    LARGE_INTEGER zero{};
    LARGE_INTEGER offset{};
    sample.closed = GetFileSizeEx(handle, &size) == 0;
    (void)SetFilePointerEx(handle, zero, &offset, FILE_CURRENT);
    sample.data = size.QuadPart - offset.QuadPart;
    sample.active = sample.data != 0;
    return sample;
}

// The system's number of a file or pipe. Without the volume, which Wine does not find after the
// file was renamed.
uint64_t index_of(void* handle) {
    nt::StatusBlock result{};
    int64_t index = 0;
    const long status =
        NtQueryInformationFile(handle, &result, &index, sizeof index, nt::kFileInternalInformation);
    return status < 0 ? 0 : static_cast<uint64_t>(index);
}

// A pipe has a number on Windows, which a later pipe may have again, and a name under Wine, which
// is not used again. Wine forgets the name when the other end is closed. So that is a part of the
// identity, which is 0 then, and some bits are those of the handle.
constexpr uint32_t kPipeBits = 0xffffff;

uint32_t identity_of_pipe(void* handle) {
    const auto number = reinterpret_cast<uintptr_t>(handle) / 4;
    const uint64_t pipe = index_of(handle) ^ pipe_of_handle(handle);
    const uint32_t bits = pipe == 0 ? 0 : mix(pipe, 0) & kPipeBits;
    return static_cast<uint32_t>(number | 0x80) << 24 | bits;
}

// Used if the system does not tell. Whether it may be the pipe that was classified.
bool may_be_same_pipe(void* handle, uint32_t identity, const FdFacts& facts) {
    if (facts.kind != FdKind::pipe || GetFileType(handle) != FILE_TYPE_PIPE) return false;
    if ((identity & ~kPipeBits) != (facts.identity & ~kPipeBits)) return false;
    if ((identity & kPipeBits) != 0) return false;
    const uint32_t access = access_of(handle);
    return ((access & kRead) != 0) == facts.readable_end &&
           ((access & kWrite) != 0) == facts.writable_end;
}

uint32_t identity_of_handle(void* handle) {
    const uint32_t type = GetFileType(handle);
    if (type == FILE_TYPE_PIPE) return identity_of_pipe(handle);
    const auto number = reinterpret_cast<uintptr_t>(handle);
    return mix(number, type == FILE_TYPE_DISK ? index_of(handle) : 0);
}

}  // namespace

uint32_t file_of_handle(void* handle) {
    BY_HANDLE_FILE_INFORMATION info;
    if (GetFileInformationByHandle(handle, &info) == 0) return 0;
    return mix(uint64_t{info.nFileIndexHigh} << 32 | info.nFileIndexLow, info.dwVolumeSerialNumber);
}

uint64_t pipe_of_handle(void* handle) {
    nt::StatusBlock result{};
    nt::NameInformation name;
    const long status =
        NtQueryInformationFile(handle, &result, &name, sizeof name, nt::kFileNameInformation);
    if (status < 0 || name.size > sizeof name.text) return 0;
    uint64_t hash = 0xCBF29CE484222325u;
    for (uint32_t i = 0; i < name.size / sizeof *name.text; i++)
        hash = (hash ^ name.text[i]) * 0x100000001B3u;
    return name.size == 0 ? 0 : hash | 1;
}

Errno check_same(int fd, const FdFacts& facts) {
    void* handle = numbers::handle_of(fd);
    if (handle == nullptr) return Errno::bad_descriptor;
    const uint32_t identity = identity_of_handle(handle);
    const bool same = identity == facts.identity || may_be_same_pipe(handle, identity, facts);
    return same ? Errno::ok : Errno::no_entry;
}

Errno classify(int fd, FdFacts& facts) {
    void* handle = numbers::handle_of(fd);
    if (handle == nullptr) return Errno::bad_descriptor;
    facts.identity = identity_of_handle(handle);
    const uint32_t access = access_of(handle);
    facts.readable_end = (access & kRead) != 0;
    facts.writable_end = (access & kWrite) != 0;
    switch (GetFileType(handle)) {
        case FILE_TYPE_DISK:
            facts.kind = is_directory(handle) ? FdKind::directory : FdKind::regular;
            break;
        case FILE_TYPE_PIPE:
            facts.kind = FdKind::pipe;
            break;
        default:
            facts.kind = is_console(handle) ? FdKind::other : FdKind::always;
            break;
    }
    return Errno::ok;
}

uint16_t poll(int fd, Direction direction) {
    void* handle = numbers::handle_of(fd);
    if (handle == nullptr) return kClosed;
    const bool reads = direction == Direction::read;
    switch (GetFileType(handle)) {
        case FILE_TYPE_PIPE: {
            const uint32_t access = access_of(handle);
            // The wrong end can show that the other end is gone, and nothing else.
            if (reads) {
                if ((access & kRead) != 0) return poll_pipe_for_reading(handle);
                return poll_pipe_for_writing(handle) & kFailed;
            }
            if ((access & kWrite) != 0) return poll_pipe_for_writing(handle);
            return poll_pipe_for_reading(handle) & kHangup;
        }
        case FILE_TYPE_CHAR:
            if (!reads || !is_console(handle)) return reads ? kReadable : kWritable;
            return keys_in_console(handle) > 0 ? uint16_t{kReadable} : uint16_t{0};
        default:
            return reads ? kReadable : kWritable;
    }
}

bool is_writing_end(int fd) {
    void* handle = numbers::handle_of(fd);
    return handle != nullptr && GetFileType(handle) == FILE_TYPE_PIPE &&
           (access_of(handle) & kWrite) != 0;
}

int64_t bytes_in_pipe(int fd) {
    void* handle = numbers::handle_of(fd);
    DWORD bytes = 0;
    if (handle == nullptr || GetFileType(handle) != FILE_TYPE_PIPE) return 0;
    return PeekNamedPipe(handle, nullptr, 0, nullptr, &bytes, nullptr) != 0 ? int64_t{bytes} : 0;
}

Sample readable(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    sample.closed = check_same(fd, facts) != Errno::ok;
    if (sample.closed) return sample;
    void* handle = numbers::handle_of(fd);
    if (facts.kind == FdKind::regular) return readable_file(handle);
    sample.eof = (ready & (kHangup | kFailed)) != 0;
    if (facts.kind == FdKind::pipe) {
        if (facts.readable_end) sample.data = bytes_in_pipe(fd);
        sample.active = sample.data > 0;
        return sample;
    }
    if (facts.kind == FdKind::other) {
        sample.data = keys_in_console(handle);
        sample.active = sample.data > 0;
        return sample;
    }
    sample.active = true;
    return sample;
}

Sample writable(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    sample.closed = check_same(fd, facts) != Errno::ok;
    if (sample.closed) return sample;
    void* handle = numbers::handle_of(fd);
    sample.active =
        facts.kind == FdKind::regular || facts.kind == FdKind::always || (ready & kWritable) != 0;
    if (facts.kind == FdKind::regular || facts.kind == FdKind::always) return sample;
    sample.eof = (ready & (kHangup | kFailed)) != 0;
    if (!sample.active) return sample;
    nt::StatusBlock result{};
    nt::PipeInformation pipe{};
    const bool told =
        facts.kind == FdKind::pipe && NtQueryInformationFile(handle, &result, &pipe, sizeof pipe,
                                                             nt::kFilePipeLocalInformation) >= 0;
    sample.data = told && pipe.writable > 0 ? int64_t{pipe.writable} : 1;
    return sample;
}

}  // namespace kq::files
