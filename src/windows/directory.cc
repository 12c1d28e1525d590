// SPDX-License-Identifier: BSD-2-Clause
// A directory whose changes the system reports. See directory.h.
#include "directory.h"

#include <stdlib.h>

#include "check.h"
#include "files.h"
#include "sys.h"

namespace kq {
namespace {

constexpr DWORD kAll = FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME |
                       FILE_NOTIFY_CHANGE_ATTRIBUTES | FILE_NOTIFY_CHANGE_SIZE |
                       FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_CREATION |
                       FILE_NOTIFY_CHANGE_SECURITY;

Directory::What what_of(DWORD action) {
    switch (action) {
        case FILE_ACTION_ADDED:
            return Directory::What::added;
        case FILE_ACTION_REMOVED:
            return Directory::What::removed;
        case FILE_ACTION_RENAMED_OLD_NAME:
            return Directory::What::renamed_from;
        case FILE_ACTION_RENAMED_NEW_NAME:
            return Directory::What::renamed_to;
        default:
            return Directory::What::modified;
    }
}

}  // namespace

// ---- names ----

bool FileName::is_like(FileName other) const {
    return CompareStringOrdinal(text, static_cast<int>(length), other.text,
                                static_cast<int>(other.length), TRUE) == CSTR_EQUAL;
}

bool FileName::may_be_short() const {
    for (size_t i = 0; i < length; i++)
        if (text[i] == L'~') return true;
    return false;
}

FilePath::~FilePath() {
    free(text_);
}

bool FilePath::find(void* handle) {
    DWORD room = 300;
    for (;;) {
        void* memory = realloc(text_, room * sizeof(wchar_t));
        if (memory == nullptr) return false;
        text_ = static_cast<wchar_t*>(memory);
        const DWORD length = GetFinalPathNameByHandleW(handle, text_, room, VOLUME_NAME_DOS);
        if (length == 0) return false;
        length_ = length;
        if (length < room) break;
        room = length + 1;
    }
    name_ = length_;
    while (name_ > 0 && text_[name_ - 1] != L'\\')
        name_--;
    return name_ > 0 && name_ < length_;
}

void FilePath::cut() {
    length_ = name_;
    text_[length_] = L'\0';
}

// ---- the directory ----

Directory::~Directory() {
    if (handle_ != nullptr) CloseHandle(handle_);
}

Errno Directory::open(const wchar_t* path) {
    static_assert(sizeof request_.overlapped >= sizeof(OVERLAPPED));
    void* handle = CreateFileW(
        path, FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
        OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, nullptr);
    if (handle == INVALID_HANDLE_VALUE) return sys::last_error();
    handle_ = handle;
    identity_ = files::file_of_handle(handle);
    return Errno::ok;
}

Errno Directory::start(void* port, uintptr_t key) {
    if (CreateIoCompletionPort(handle_, port, key, 0) == nullptr) return sys::last_error();
    return ask();
}

Errno Directory::ask() {
    KQ_CHECK(!pending_);
    request_ = Request{{}, this};
    auto* request = reinterpret_cast<OVERLAPPED*>(&request_);
    if (ReadDirectoryChangesW(handle_, buffer_, kSize, FALSE, kAll, nullptr, request, nullptr) == 0)
        return sys::last_error();
    pending_ = true;
    return Errno::ok;
}

void Directory::close() {
    (void)CancelIoEx(handle_, reinterpret_cast<OVERLAPPED*>(&request_));
    CloseHandle(handle_);
    handle_ = nullptr;
}

bool Directory::Records::next(What& what, FileName& name) {
    if (left_ < offsetof(FILE_NOTIFY_INFORMATION, FileName)) return false;
    const auto* record = reinterpret_cast<const FILE_NOTIFY_INFORMATION*>(at_);
    what = what_of(record->Action);
    name = {record->FileName, record->FileNameLength / sizeof(wchar_t)};
    const size_t step = record->NextEntryOffset;
    at_ += step;
    left_ = step == 0 || step > left_ ? 0 : left_ - step;
    return true;
}

}  // namespace kq
