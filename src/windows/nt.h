// SPDX-License-Identifier: BSD-2-Clause
// Declares functions of ntdll.dll that <windows.h> does not declare. <winternl.h> has only some of
// them, and which it has differs between tool-chains. Only for the .cc files of this directory.
#ifndef KQ_WINDOWS_NT_H
#define KQ_WINDOWS_NT_H

#include <stddef.h>
#include <stdint.h>

#include "sys.h"

namespace kq::nt {

inline constexpr long kPending = 0x103;
inline constexpr long kTimeout = 0x102;
inline constexpr long kCancelled = static_cast<long>(0xC0000120u);

struct String {
    uint16_t length;  // in bytes
    uint16_t capacity;
    const wchar_t* text;
};

struct ObjectAttributes {
    uint32_t size;
    void* root;
    const String* name;
    uint32_t attributes;
    void* security;
    void* quality;
};

struct StatusBlock {
    union {
        long status;
        void* pointer;
    };
    uintptr_t information;
};

struct Completion {  // as OVERLAPPED_ENTRY, in the kernel's order
    void* key;
    void* context;
    StatusBlock status;
};

struct PipeInformation {  // FilePipeLocalInformation
    uint32_t type;
    uint32_t configuration;
    uint32_t most_instances;
    uint32_t instances;
    uint32_t inbound_quota;
    uint32_t readable;
    uint32_t outbound_quota;
    uint32_t writable;
    uint32_t state;
    uint32_t end;
};
inline constexpr int kFileInternalInformation = 6;  // an int64_t: its number on its volume
inline constexpr int kFileAccessInformation = 8;
inline constexpr int kFileNameInformation = 9;
inline constexpr int kFilePipeLocalInformation = 24;
inline constexpr uint32_t kPipeClosing = 4;

// A completion port; null: the reason is in GetLastError(). The system would let only some of the
// threads that use a port run at once, and a thread counts as one of them until it uses another
// port or blocks. To the others the port looks empty. Threads that call kevent() are no pool of
// workers, so all of them may run.
inline void* new_port() {
    constexpr DWORD kNoLimit = 0x7fffffff;
    return CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, kNoLimit);
}

struct NameInformation {  // FileNameInformation
    uint32_t size;        // in bytes
    wchar_t text[126];
};

}  // namespace kq::nt

extern "C" {
__declspec(dllimport) long __stdcall NtCreateFile(void** handle, uint32_t access,
                                                  const kq::nt::ObjectAttributes* name,
                                                  kq::nt::StatusBlock* result, void* size,
                                                  uint32_t attributes, uint32_t share, uint32_t how,
                                                  uint32_t options, void* ea, uint32_t ea_size);
__declspec(dllimport) long __stdcall NtDeviceIoControlFile(
    void* handle, void* event, void* routine, void* context, kq::nt::StatusBlock* result,
    uint32_t code, void* in, uint32_t in_size, void* out, uint32_t out_size);
__declspec(dllimport) long __stdcall NtCancelIoFileEx(void* handle, kq::nt::StatusBlock* which,
                                                      kq::nt::StatusBlock* result);
__declspec(dllimport) long __stdcall NtRemoveIoCompletionEx(void* port, kq::nt::Completion* out,
                                                            uint32_t count, uint32_t* removed,
                                                            const int64_t* timeout,
                                                            unsigned char alertable);
__declspec(dllimport) long __stdcall NtQueryIoCompletion(void* port, int what, void* out,
                                                         uint32_t size, uint32_t* written);
__declspec(dllimport) long __stdcall NtQueryInformationFile(void* handle,
                                                            kq::nt::StatusBlock* result, void* out,
                                                            uint32_t size, int what);
__declspec(dllimport) unsigned long __stdcall RtlNtStatusToDosError(long status);
}

#endif
