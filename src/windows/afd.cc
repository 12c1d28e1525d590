// SPDX-License-Identifier: BSD-2-Clause
// IOCTL_AFD_POLL. See afd.h.
#include "afd.h"

#include <mswsock.h>

#include <atomic>

#include "alloc.h"
#include "nt.h"

#ifndef SIO_BASE_HANDLE
    #define SIO_BASE_HANDLE 0x48000022
#endif
#ifndef SIO_BSP_HANDLE_POLL
    #define SIO_BSP_HANDLE_POLL 0x4800001D
#endif

namespace kq::afd {

// How many polls share a device.
constexpr int kMost = 32;

struct Device {
    void* handle = nullptr;
    int polls = 0;
    Device* next = nullptr;
};

namespace {

constexpr uint32_t kControl = 0x12024;
constexpr uint32_t kFileOpen = 1;
constexpr uint32_t kSynchronous = 0x20;  // FILE_SYNCHRONOUS_IO_NONALERT
constexpr int64_t kNever = INT64_MAX;

// A file of the device. `options`: FILE_ bits of NtCreateFile().
Errno open_device(uint32_t options, void*& handle) {
    static constexpr wchar_t kName[] = L"\\Device\\Afd\\libkqueue";
    const nt::String name{sizeof kName - sizeof(wchar_t), sizeof kName, kName};
    const nt::ObjectAttributes attributes{sizeof attributes, nullptr, &name, 0, nullptr, nullptr};
    nt::StatusBlock result{};
    return sys::from_status(NtCreateFile(&handle, SYNCHRONIZE, &attributes, &result, nullptr, 0,
                                         FILE_SHARE_READ | FILE_SHARE_WRITE, kFileOpen, options,
                                         nullptr, 0));
}

void fill(Poll& poll, uintptr_t socket, uint32_t events, int64_t timeout) {
    poll.info.timeout = timeout;
    poll.info.count = 1;
    poll.info.exclusive = 0;
    poll.info.one = {reinterpret_cast<void*>(socket), events, 0};
    poll.result.status = nt::kPending;
}

long control(void* device, Poll& poll, void* context) {
    static_assert(sizeof poll.result == sizeof(nt::StatusBlock));
    return NtDeviceIoControlFile(device, nullptr, nullptr, context,
                                 reinterpret_cast<nt::StatusBlock*>(&poll.result), kControl,
                                 &poll.info, sizeof poll.info, &poll.info, sizeof poll.info);
}

}  // namespace

// ---- devices ----

Devices::~Devices() {
    while (Device* device = first_) {
        first_ = device->next;
        CloseHandle(device->handle);
        free(device);
    }
}

Result<Device*> Devices::reserve() {
    for (Device* device = first_; device != nullptr; device = device->next) {
        if (device->polls == kMost) continue;
        device->polls++;
        return device;
    }
    Owned<Device> device = make<Device>();
    if (!device) return Errno::no_memory;
    const Errno error = open_device(0, device->handle);
    if (error != Errno::ok) return error;
    if (CreateIoCompletionPort(device->handle, port_, key_, 0) == nullptr) {
        const Errno refused = sys::last_error();
        CloseHandle(device->handle);
        return refused;
    }
    // No thread waits on the file itself.
    SetFileCompletionNotificationModes(device->handle, FILE_SKIP_SET_EVENT_ON_HANDLE);
    device->polls = 1;
    device->next = first_;
    first_ = device.get();
    return device.release();
}

void Devices::give_back(Device& device) {
    device.polls--;
}

// ---- polls ----

Errno submit(Poll& poll, uintptr_t socket, uint32_t events) {
    fill(poll, socket, events, kNever);
    const Errno error = sys::from_status(control(poll.device->handle, poll, &poll));
    poll.pending = error == Errno::ok;
    poll.cancelling = false;
    poll.asked = poll.pending ? events : 0;
    return error;
}

void cancel(Poll& poll) {
    if (poll.cancelling) return;
    poll.cancelling = true;
    nt::StatusBlock result{};
    // Not found: the poll was answered before that, and its packet is there.
    (void)NtCancelIoFileEx(poll.device->handle, reinterpret_cast<nt::StatusBlock*>(&poll.result),
                           &result);
}

bool has_failed(const Poll& poll) {
    return poll.result.status < 0;
}

uint32_t events_of(Poll& poll) {
    poll.pending = false;
    poll.asked = 0;
    if (poll.result.status < 0 || poll.info.count == 0) return 0;
    return poll.info.one.events;
}

// A file that is opened in this way does one thing after the other. These questions are answered at
// once.
Look look(uintptr_t socket, uint32_t events) {
    static constinit std::atomic<void*> shared{nullptr};
    void* device = shared.load();
    if (device == nullptr) {
        void* fresh = nullptr;
        if (open_device(kSynchronous, fresh) != Errno::ok) return {};
        if (shared.compare_exchange_strong(device, fresh))
            device = fresh;
        else
            CloseHandle(fresh);
    }
    Poll poll{};
    fill(poll, socket, events, 0);
    if (control(device, poll, nullptr) < 0 || poll.info.count == 0) return {};
    return {poll.info.one.events, poll.info.one.status};
}

namespace {

// INVALID_SOCKET: not told; the reason is in WSAGetLastError().
SOCKET below(SOCKET socket, DWORD question) {
    SOCKET base = INVALID_SOCKET;
    DWORD size = 0;
    const int result =
        WSAIoctl(socket, question, nullptr, 0, &base, sizeof base, &size, nullptr, nullptr);
    return result == 0 ? base : INVALID_SOCKET;
}

}  // namespace

// Providers that stand between a program and the system's sockets must pass SIO_BASE_HANDLE on.
// Some do not. These are gone through one by one.
uintptr_t base_of(int socket) {
    constexpr int kMostProviders = 16;
    auto at = static_cast<SOCKET>(static_cast<unsigned>(socket));
    for (int i = 0; i < kMostProviders; i++) {
        const SOCKET base = below(at, SIO_BASE_HANDLE);
        if (base != INVALID_SOCKET) return base;
        if (WSAGetLastError() == WSAENOTSOCK) return 0;
        const SOCKET next = below(at, SIO_BSP_HANDLE_POLL);
        if (next == INVALID_SOCKET || next == at) break;
        at = next;
    }
    return at;
}

}  // namespace kq::afd
