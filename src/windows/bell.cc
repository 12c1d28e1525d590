// SPDX-License-Identifier: BSD-2-Clause
// Bells, and the pipe that is the public descriptor. See bell.h.
#include "bell.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>

#include "alloc.h"
#include "mutex.h"
#include "nt.h"
#include "numbers.h"
#include "registry.h"
#include "threading.h"

namespace kq {

void Bell::wake() {
    if (sleepers.load() == 0 || woken.exchange(true)) return;
    PostQueuedCompletionStatus(port.load(), 0, kWakeKey, nullptr);
}

void Bell::wake_all() {
    for (uint32_t left = sleepers.load(); left > 0; left--)
        PostQueuedCompletionStatus(port.load(), 0, kWakeKey, nullptr);
}

namespace bells {
namespace {

// The C library of Windows has at most so many descriptors.
constexpr int kNumbers = 8192;

constinit std::atomic<Bell*> by_number[kNumbers]{};

constinit Mutex mutex;
constinit Bell* unused KQ_GUARDED_BY(mutex) = nullptr;

Bell* take() {
    const Guard guard(mutex);
    Bell* bell = unused;
    if (bell != nullptr)
        unused = bell->next;
    else
        bell = make<Bell>().release();
    return bell;
}

void give_back(Bell& bell) {
    const Guard guard(mutex);
    bell.next = unused;
    unused = &bell;
}

// Calls `use` with the bell of a number. The port of the bell stays open until `use` returns.
template <class Use>
bool with_bell(int number, Use use) {
    if (number < 0 || number >= kNumbers) return false;
    Bell* bell = by_number[number].load();
    if (bell == nullptr) return false;
    bell->users.fetch_add(1);
    const bool ours = bell->tag.load() != 0 && by_number[number].load() == bell && use(*bell);
    bell->users.fetch_sub(1);
    return ours;
}

// ---- being closed ----

constinit std::atomic<bool> sweeping{false};

// Frees the kqueues that were closed, even if no thread uses the library. The callback cannot do
// this, because destroying a kqueue waits for its callback.
DWORD WINAPI sweep(void* /*nothing*/) {
    sweeping.store(false);
    registry::sweep();
    return 0;
}

void CALLBACK on_closed(void* context, BOOLEAN /*timed_out*/) {
    Bell& bell = *static_cast<Bell*>(context);
    DWORD unread = 0;
    if (PeekNamedPipe(bell.pipe, nullptr, 0, nullptr, &unread, nullptr) != 0) return;  // written to
    bell.set(Bell::kClosed);
    bell.wake();
    if (!sweeping.exchange(true)) QueueUserWorkItem(sweep, nullptr, WT_EXECUTEDEFAULT);
}

// The library must stay loaded, because its callbacks may be running.
void pin() {
    static constinit std::atomic<bool> pinned{false};
    if (pinned.exchange(true)) return;
    HMODULE self = nullptr;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                       reinterpret_cast<const wchar_t*>(&pin), &self);
    // Programs that use sockets have done this. Others may ask about numbers as well.
    WSADATA data;
    (void)WSAStartup(MAKEWORD(2, 2), &data);
}

Errno listen_for_close(Bell& bell) {
    bell.closed = CreateEventW(nullptr, TRUE, FALSE, nullptr);
    if (bell.closed == nullptr) return sys::last_error();
    auto* request = reinterpret_cast<OVERLAPPED*>(bell.read);
    static_assert(sizeof(OVERLAPPED) < sizeof bell.read);
    *request = {};
    request->hEvent = bell.closed;
    if (ReadFile(bell.pipe, bell.read + sizeof *request, 1, nullptr, request) == 0 &&
        GetLastError() != ERROR_IO_PENDING)
        return sys::last_error();
    // Not in the thread that waits: Wine 8 crashes if the wait ends while such a callback begins.
    if (RegisterWaitForSingleObject(&bell.wait, bell.closed, on_closed, &bell, INFINITE,
                                    WT_EXECUTEONLYONCE) == 0)
        return sys::last_error();
    return Errno::ok;
}

// ---- the pipe ----

Errno open_pipe(Bell& bell, uint32_t tag) {
    wchar_t name[64];
    (void)swprintf(name, sizeof name / sizeof *name, L"\\\\.\\pipe\\libkqueue-close-%lu-%lu",
                   GetCurrentProcessId(), static_cast<unsigned long>(tag));
    void* pipe = CreateNamedPipeW(
        name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, 0, 0, 0, nullptr);
    if (pipe == INVALID_HANDLE_VALUE) return sys::last_error();
    bell.pipe = pipe;
    void* writer = CreateFileW(name, GENERIC_WRITE | FILE_READ_ATTRIBUTES, 0, nullptr,
                               OPEN_EXISTING, 0, nullptr);
    if (writer == INVALID_HANDLE_VALUE) return sys::last_error();
    bell.number = _open_osfhandle(reinterpret_cast<intptr_t>(writer), _O_BINARY | _O_NOINHERIT);
    if (bell.number < 0) {
        CloseHandle(writer);
        return Errno::too_many_open;
    }
    bell.writer = writer;
    return bell.number < kNumbers ? Errno::ok : Errno::too_many_open;
}

Errno open_parts(Bell& bell, uint32_t tag) {
    // Threads that call kevent() are no pool of workers, so all of them may run.
    constexpr DWORD kNoLimit = 0x7fffffff;
    bell.port.store(CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, kNoLimit));
    if (bell.port.load() == nullptr) return sys::last_error();
    const Errno error = open_pipe(bell, tag);
    return error == Errno::ok ? listen_for_close(bell) : error;
}

void close_handle(void*& handle) {
    if (handle != nullptr) CloseHandle(handle);
    handle = nullptr;
}

}  // namespace

Result<Bell*> open(uint32_t tag) {
    pin();
    Bell* bell = take();
    if (bell == nullptr) return Errno::no_memory;
    bell->reasons.store(0);
    bell->woken.store(false);
    bell->looks.store(false);
    bell->watched.store(false);
    bell->due.store(INT64_MAX);
    const Errno error = open_parts(*bell, tag);
    if (error != Errno::ok) {
        close(*bell, true);
        return error;
    }
    bell->tag.store(tag);
    by_number[bell->number].store(bell);
    return bell;
}

void close(Bell& bell, bool all) {
    bell.tag.store(0);
    if (bell.number >= 0 && bell.number < kNumbers) {
        Bell* self = &bell;
        (void)by_number[bell.number].compare_exchange_strong(self, nullptr);
    }
    while (bell.users.load() != 0)
        threading::yield();
    // Waits for the callback, which takes no lock.
    if (bell.wait != nullptr) (void)UnregisterWaitEx(bell.wait, INVALID_HANDLE_VALUE);
    bell.wait = nullptr;
    if (all && bell.number >= 0) _close(bell.number);
    bell.number = -1;
    bell.writer = nullptr;
    if (bell.pipe != nullptr) {
        auto* request = reinterpret_cast<OVERLAPPED*>(bell.read);
        DWORD size = 0;
        // The read has to be over, because its memory is used again.
        if (bell.closed != nullptr && CancelIoEx(bell.pipe, request) != 0)
            (void)GetOverlappedResult(bell.pipe, request, &size, TRUE);
    }
    close_handle(bell.pipe);
    close_handle(bell.closed);
    void* port = bell.port.exchange(nullptr);
    close_handle(port);
    give_back(bell);
}

bool exists(const Bell& bell) {
    if (bell.has(Bell::kClosed)) return false;
    DWORD unread = 0;
    if (PeekNamedPipe(bell.pipe, nullptr, 0, nullptr, &unread, nullptr) == 0) return false;
    // A duplicate may keep the pipe open.
    return has_number(bell);
}

bool has_number(const Bell& bell) {
    return numbers::handle_of(bell.number) == bell.writer;
}

Errno ring(int number, uint32_t tag) {
    const bool rung = with_bell(number, [tag](Bell& bell) {
        if (bell.tag.load() != tag) return false;
        bell.set(Bell::kRung);
        bell.wake();
        return true;
    });
    return rung ? Errno::ok : Errno::bad_descriptor;
}

uint32_t tag_of(int number) {
    uint32_t tag = 0;
    (void)with_bell(number, [&tag](const Bell& bell) {
        if (exists(bell)) tag = bell.tag.load();
        return true;
    });
    return tag;
}

void note_watched(int number) {
    (void)with_bell(number, [](Bell& bell) {
        bell.watched.store(true);
        return true;
    });
}

Result<News> news_of(int number, int64_t now) {
    News news;
    const bool ours = with_bell(number, [&](const Bell& bell) {
        constexpr uint32_t kAny = Bell::kRung | Bell::kHeld | Bell::kUnarmed | Bell::kKept;
        uint32_t packets = 0;
        (void)NtQueryIoCompletion(bell.port.load(), 0, &packets, sizeof packets, nullptr);
        const int64_t due = bell.due.load();
        news.overdue = due <= now;
        const bool known = packets != 0 || (bell.reasons.load() & kAny) != 0 || news.overdue;
        news.sure = known || !bell.looks.load();
        news.some = known || bell.looks.load();
        news.state = (uint64_t{bell.told.load()} << 32 | packets) + static_cast<uint64_t>(due);
        return true;
    });
    if (!ours) return Errno::bad_descriptor;
    return news;
}

}  // namespace bells
}  // namespace kq
