// SPDX-License-Identifier: BSD-2-Clause
// process.h, and the processes of processes.h. A child is this program, started once more. Its
// environment says that it must sleep, and then exit with a certain code. The body of a Sleeper
// runs here, in the parent, and can only return that code.
#include "support/process.h"

#include <windows.h>

#include <gtest/gtest.h>
#include <io.h>
#include <signal.h>
#include <stdlib.h>
#include <tlhelp32.h>

#include <map>
#include <string>
#include <utility>

#include "support/kq.h"

namespace kqtest {
namespace {

constexpr char kSleeper[] = "KQTEST_SLEEPER";

// With what a process ends that has such a fault.
constexpr std::pair<int, DWORD> kExceptions[] = {{SIGSEGV, EXCEPTION_ACCESS_VIOLATION},
                                                 {SIGFPE, EXCEPTION_INT_DIVIDE_BY_ZERO},
                                                 {SIGILL, EXCEPTION_ILLEGAL_INSTRUCTION}};

int wait_status(DWORD code) {
    for (const auto& [number, exception] : kExceptions)
        if (code == exception) return number;
    return static_cast<int>(code & 0xff) << 8;
}

// In the child: waits for a byte.
const bool is_parent = [] {
    const char* code = getenv(kSleeper);
    if (code == nullptr) return true;
    char byte = 0;
    DWORD count = 0;
    const bool go = ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &count, nullptr) != 0;
    // At the end of the pipe there is no byte. A minus says that this is what it waits for.
    if (*code == '-') ExitProcess(!go ? strtoul(code + 1, nullptr, 10) : 99);
    ExitProcess(go && count == 1 ? strtoul(code, nullptr, 10) : 99);
}();

// The children, by their numbers: as long as a handle is open the number is not given out again.
std::map<pid_t, HANDLE>& children() {
    static std::map<pid_t, HANDLE> children;
    return children;
}

pid_t start(int code, int input, bool at_end = false) {
    const std::string number = (at_end ? "-" : "") + std::to_string(static_cast<unsigned>(code));
    _putenv_s(kSleeper, number.c_str());
    char self[MAX_PATH];
    GetModuleFileNameA(nullptr, self, sizeof self);
    const HANDLE pipe = reinterpret_cast<HANDLE>(_get_osfhandle(input));
    SetHandleInformation(pipe, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    STARTUPINFOA startup{};
    startup.cb = sizeof startup;
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = pipe;
    PROCESS_INFORMATION process{};
    EXPECT_TRUE(CreateProcessA(self, nullptr, nullptr, nullptr, TRUE, DETACHED_PROCESS, nullptr,
                               nullptr, &startup, &process));
    SetHandleInformation(pipe, HANDLE_FLAG_INHERIT, 0);
    _putenv_s(kSleeper, "");
    CloseHandle(process.hThread);
    const auto pid = static_cast<pid_t>(process.dwProcessId);
    children()[pid] = process.hProcess;
    return pid;
}

}  // namespace

std::function<int()> exits_with(int code) {
    return [code] { return code; };
}

std::function<int()> killed_by(int signal) {
    for (const auto& [number, code] : kExceptions)
        if (number == signal) return exits_with(static_cast<int>(code));
    ADD_FAILURE() << "a process cannot be killed by this signal on Windows";
    return exits_with(98);
}

Sleeper::Sleeper(std::function<int()> body) {
    Pipe pipe = make_pipe();
    pid_ = start(body(), *pipe.read);
    go_ = std::move(pipe.write);
}

Sleeper::Sleeper(Sleeper&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), go_(std::move(other.go_)) {}

Sleeper::~Sleeper() {
    if (pid_ <= 0) return;
    TerminateProcess(children()[pid_], 9);
    reap();
}

void Sleeper::go() {
    write_bytes(*go_, 1);
}

void Sleeper::wait_until_exited() {
    WaitForSingleObject(children()[pid_], INFINITE);
}

int Sleeper::reap() {
    wait_until_exited();
    int status = -1;
    kqposix::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
}

Stranger::Stranger(std::function<int()> /*body*/) {
    ADD_FAILURE() << "there are no grandchildren on Windows";
}
Stranger::~Stranger() = default;
void Stranger::go() {}
void Stranger::wait_until_exited() {}
void Stranger::reap() {}

pid_t start_at_gate(const Pipe& gate, int code) {
    return start(code, *gate.read, true);
}

int count_descriptors() {
    return static_cast<int>(open_descriptors().size());
}

}  // namespace kqtest

namespace kqposix {

using kqtest::children;

pid_t waitpid(pid_t pid, int* status, int /*options*/) {
    const auto child = children().find(pid);
    if (child == children().end()) return errno = ECHILD, -1;
    WaitForSingleObject(child->second, INFINITE);
    DWORD code = 0;
    GetExitCodeProcess(child->second, &code);
    CloseHandle(child->second);
    children().erase(child);
    if (status != nullptr) *status = kqtest::wait_status(code);
    return pid;
}

int waitid(int /*what*/, id_t id, siginfo_t* /*info*/, int /*options*/) {
    const auto child = children().find(static_cast<pid_t>(id));
    if (child == children().end()) return errno = ECHILD, -1;
    WaitForSingleObject(child->second, INFINITE);
    return 0;
}

pid_t getppid() {
    PROCESSENTRY32 process{};
    process.dwSize = sizeof process;
    const HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    bool found = Process32First(all, &process) != 0;
    while (found && process.th32ProcessID != GetCurrentProcessId())
        found = Process32Next(all, &process) != 0;
    CloseHandle(all);
    return found ? static_cast<pid_t>(process.th32ParentProcessID) : -1;
}

uid_t getuid() {
    return 1000;
}
uid_t geteuid() {
    return 1000;
}
gid_t getgid() {
    return 1000;
}

}  // namespace kqposix
