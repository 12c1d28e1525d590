// SPDX-License-Identifier: BSD-2-Clause
// Processes. See children.h, and namespace processes in capabilities.h.
#include "children.h"

#include <signal.h>

#include "alloc.h"
#include "check.h"
#include "platform.h"
#include "sys.h"

namespace kq {
namespace children {
namespace {

struct Watch {  // ProcessFacts::place
    void* process = nullptr;
    void* wait = nullptr;
    void* port = nullptr;
    uintptr_t key = 0;
    Handle handle;
};

void CALLBACK on_exit(void* context, BOOLEAN /*timed_out*/) {
    const Watch& watch = *static_cast<Watch*>(context);
    const uint64_t bits = watch.handle.bits();
    PostQueuedCompletionStatus(watch.port, static_cast<DWORD>(bits), watch.key,
                               reinterpret_cast<OVERLAPPED*>(static_cast<uintptr_t>(bits >> 32)));
}

Errno open_process(int32_t pid, void*& process) {
    process = OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE,
                          static_cast<DWORD>(pid));
    if (process == nullptr) {
        const DWORD code = GetLastError();
        if (code == ERROR_INVALID_PARAMETER) return Errno::no_process;
        return code == ERROR_ACCESS_DENIED ? Errno::not_permitted : sys::from_code(code);
    }
    // The system ignores the last two bits of a process id.
    if (GetProcessId(process) == static_cast<DWORD>(pid)) return Errno::ok;
    CloseHandle(process);
    process = nullptr;
    return Errno::no_process;
}

}  // namespace

Handle handle_of(uintptr_t bytes, const void* object) {
    const uint64_t high = reinterpret_cast<uintptr_t>(object);
    return Handle(high << 32 | static_cast<uint32_t>(bytes));
}

Errno watch(void* port, uintptr_t key, int32_t pid, Handle handle, ProcessFacts& process) {
    Owned<Watch> watch = make<Watch>();
    if (!watch) return Errno::no_memory;
    const Errno error = open_process(pid, watch->process);
    if (error != Errno::ok) return error;
    watch->port = port;
    watch->key = key;
    watch->handle = handle;
    // One that has ended is reported by this very call, and not when a thread of the pool comes to
    // it.
    if (WaitForSingleObject(watch->process, 0) == WAIT_OBJECT_0) {
        on_exit(watch.get(), FALSE);
    }
    // Not in the thread that waits: Wine 8 crashes if the wait ends while such a callback begins.
    else if (RegisterWaitForSingleObject(&watch->wait, watch->process, on_exit, watch.get(),
                                         INFINITE, WT_EXECUTEONLYONCE) == 0) {
        const Errno refused = sys::last_error();
        CloseHandle(watch->process);
        return refused;
    }
    process.pid = pid;
    process.place = watch.release();
    return Errno::ok;
}

void unwatch(ProcessFacts& process) {
    auto* watch = static_cast<Watch*>(process.place);
    if (watch == nullptr) return;
    if (watch->wait != nullptr) (void)UnregisterWaitEx(watch->wait, INVALID_HANDLE_VALUE);
    CloseHandle(watch->process);
    watch->~Watch();
    free(watch);
    process = ProcessFacts{};
}

}  // namespace children

namespace processes {
namespace {

// The status as wait() would give it. A process that was ended by an exception has the code of that
// exception.
int status_of(DWORD code) {
    constexpr int kFloatingPoint = 8;
    switch (code) {
        case STATUS_ACCESS_VIOLATION:
        case STATUS_STACK_OVERFLOW:
            return SIGSEGV;
        case STATUS_INTEGER_DIVIDE_BY_ZERO:
        case STATUS_FLOAT_DIVIDE_BY_ZERO:
            return kFloatingPoint;
        case STATUS_ILLEGAL_INSTRUCTION:
            return SIGILL;
        case STATUS_CONTROL_C_EXIT:
            return SIGINT;
        default:
            return static_cast<int>(code & 0xff) << 8;
    }
}

}  // namespace

Life ask(const ProcessFacts& facts, int& status) {
    const auto* watch = static_cast<const children::Watch*>(facts.place);
    if (watch == nullptr) return Life::exited_unknown;
    if (WaitForSingleObject(watch->process, 0) != WAIT_OBJECT_0) return Life::running;
    DWORD code = 0;
    if (GetExitCodeProcess(watch->process, &code) == 0) return Life::exited_unknown;
    status = status_of(code);
    return Life::exited;
}

Errno listen(const char*& why) {
    why = "FIXME -- UNIMPLEMENTED: Windows has none";
    return Errno::unsupported;
}
void stop_listening() {}
void abandon_in_child() {}
Result<size_t> hear(std::span<ProcessNews> /*out*/) {
    return 0;
}

}  // namespace processes
}  // namespace kq
