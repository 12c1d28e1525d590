// SPDX-License-Identifier: BSD-2-Clause
// Bells, and the pipe that is the public descriptor. See bell.h.
#include "bell.h"

#include <fcntl.h>
#include <io.h>
#include <stddef.h>
#include <stdio.h>

#include "alloc.h"
#include "files.h"
#include "mutex.h"
#include "nt.h"
#include "numbers.h"
#include "platform.h"
#include "registry.h"
#include "threading.h"

namespace kq {

void Bell::wake() {
    if (sleepers.load() == 0 || woken.exchange(true)) return;
    // If the system is short of memory, the next wake() must try again.
    if (PostQueuedCompletionStatus(port.load(), 0, kWakeKey, nullptr) == 0) woken.store(false);
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

void CALLBACK on_closed(DWORD /*code*/, DWORD /*size*/, OVERLAPPED* request) {
    constexpr size_t kBefore = offsetof(Bell, read);
    Bell& bell = *reinterpret_cast<Bell*>(reinterpret_cast<unsigned char*>(request) - kBefore);
    if (bell.tag.load() != 0) {  // else it is close() that has ended the read
        bell.set(Bell::kClosed);
        bell.wake();
        if (!sweeping.exchange(true) && QueueUserWorkItem(sweep, nullptr, WT_EXECUTEDEFAULT) == 0)
            sweeping.store(false);  // the next kqueue that is closed tries again, and kqueue()
    }
    bell.listening.store(false);  // last: close() waits for that
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

OVERLAPPED* request_of(Bell& bell) {
    static_assert(sizeof(OVERLAPPED) < sizeof bell.read);
    return reinterpret_cast<OVERLAPPED*>(bell.read);
}

// By the port of the pool: the system cancels other reads when the thread that made them ends. Not
// by CreateThreadpoolIo(), of which Wine 8 leaves 96 bytes behind each time.
Errno listen_for_close(Bell& bell) {
    if (BindIoCompletionCallback(bell.pipe, on_closed, 0) == 0) return sys::last_error();
    *request_of(bell) = {};
    bell.listening.store(true);
    if (ReadFile(bell.pipe, bell.read + sizeof(OVERLAPPED), 1, nullptr, request_of(bell)) != 0 ||
        GetLastError() == ERROR_IO_PENDING)
        return Errno::ok;
    bell.listening.store(false);
    return sys::last_error();
}

// The read has to be over, because its memory is used again. The callback takes no lock. False: it
// is not over, because the process ends and the system has ended the threads of the pool.
bool stop_listening(Bell& bell) {
    constexpr int kSoon = 1000;      // times
    constexpr int kPatience = 1000;  // ms
    if (bell.listening.load()) (void)CancelIoEx(bell.pipe, request_of(bell));
    for (int i = 0; bell.listening.load() && i < kSoon; i++)
        threading::yield();
    for (int i = 0; bell.listening.load() && i < kPatience; i++)
        Sleep(1);
    return !bell.listening.load();
}

// ---- the pipe ----

void close_handle(void*& handle) {
    if (handle != nullptr) CloseHandle(handle);
    handle = nullptr;
}

// Our end, and the handle of the writing end.
Errno open_ends(Bell& bell, void*& writer) {
    static constinit std::atomic<unsigned long> last{0};
    constexpr int kTries = 8;
    Errno error = Errno::ok;
    for (int i = 0; i < kTries; i++) {
        wchar_t name[96];
        // By the address, because a program may have two copies of the library.
        (void)swprintf(name, sizeof name / sizeof *name,
                       L"\\\\.\\pipe\\libkqueue-close-%lu-%llx-%lu", GetCurrentProcessId(),
                       static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(&last)),
                       last.fetch_add(1));
        void* pipe = CreateNamedPipeW(
            name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
            PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, 0, 0, 0, nullptr);
        if (pipe != INVALID_HANDLE_VALUE) {
            bell.pipe = pipe;
            writer = CreateFileW(name, GENERIC_WRITE | FILE_READ_ATTRIBUTES, 0, nullptr,
                                 OPEN_EXISTING, 0, nullptr);
            if (writer != INVALID_HANDLE_VALUE) return Errno::ok;
        }
        const DWORD code = GetLastError();
        error = sys::from_code(code);
        close_handle(bell.pipe);
        // Another program has this name, or was quicker.
        if (code != ERROR_ACCESS_DENIED && code != ERROR_PIPE_BUSY) break;
    }
    return error;
}

Errno open_pipe(Bell& bell) {
    void* writer = nullptr;
    const Errno error = open_ends(bell, writer);
    if (error != Errno::ok) return error;
    // The program shall not write to it.
    void* self = GetCurrentProcess();
    if (DuplicateHandle(self, writer, self, &writer, FILE_READ_ATTRIBUTES | SYNCHRONIZE, FALSE,
                        DUPLICATE_CLOSE_SOURCE) == 0)
        return sys::last_error();
    bell.number = _open_osfhandle(reinterpret_cast<intptr_t>(writer), _O_BINARY | _O_NOINHERIT);
    if (bell.number < 0) {
        CloseHandle(writer);
        return Errno::too_many_open;
    }
    bell.writer = writer;
    bell.name = files::pipe_of_handle(writer);
    return bell.number < kNumbers ? Errno::ok : Errno::too_many_open;
}

Errno open_parts(Bell& bell) {
    bell.port.store(nt::new_port());
    if (bell.port.load() == nullptr) return sys::last_error();
    const Errno error = open_pipe(bell);
    return error == Errno::ok ? listen_for_close(bell) : error;
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
    bell->due.store(kForever);
    bell->due_by_wall.store(kForever);
    const Errno error = open_parts(*bell);
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
    const bool stopped = stop_listening(bell);
    if (all && bell.number >= 0) _close(bell.number);
    bell.number = -1;
    bell.writer = nullptr;
    close_handle(bell.pipe);
    void* port = bell.port.exchange(nullptr);
    close_handle(port);
    if (stopped) give_back(bell);
}

bool exists(const Bell& bell) {
    if (bell.has(Bell::kClosed) || numbers::handle_of(bell.number) != bell.writer) return false;
    return files::pipe_of_handle(bell.writer) == bell.name;
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
        if (!exists(bell)) return false;
        constexpr uint32_t kAny = Bell::kRung | Bell::kHeld | Bell::kUnarmed | Bell::kKept;
        uint32_t packets = 0;
        (void)NtQueryIoCompletion(bell.port.load(), 0, &packets, sizeof packets, nullptr);
        const int64_t due = bell.due.load();
        const int64_t by_wall = bell.due_by_wall.load();
        news.overdue = due <= now || (by_wall != kForever && by_wall <= kq::now(Clock::realtime));
        const bool known = packets != 0 || (bell.reasons.load() & kAny) != 0 || news.overdue;
        news.sure = known || !bell.looks.load();
        news.some = known || bell.looks.load();
        // How many packets have ever come: others may have been taken since the last look.
        packets += bell.taken.load();
        news.state = (uint64_t{bell.told.load()} << 32 | packets) + static_cast<uint64_t>(due) +
                     static_cast<uint64_t>(by_wall);
        return true;
    });
    if (!ours) return Errno::bad_descriptor;
    return news;
}

}  // namespace bells
}  // namespace kq
