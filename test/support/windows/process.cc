// SPDX-License-Identifier: BSD-2-Clause
// A child is this program, started once more; it sees by its environment that it is to sleep and
// then to exit. A body can only be one that says with which code: it is asked here.
#include "support/process.h"

#include <windows.h>

#include <gtest/gtest.h>
#include <io.h>
#include <stdlib.h>

#include <map>
#include <string>
#include <utility>

#include "support/kq.h"

namespace kqtest {
namespace {

constexpr char kSleeper[] = "KQTEST_SLEEPER";

// In the child: waits for a byte.
const bool is_parent = [] {
    const char* code = getenv(kSleeper);
    if (code == nullptr) return true;
    char byte = 0;
    DWORD count = 0;
    const bool go = ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &count, nullptr) != 0;
    ExitProcess(go && count == 1 ? static_cast<UINT>(atoi(code)) : 99);
}();

// The children, by their numbers: as long as a handle is open the number is not given out again.
std::map<pid_t, HANDLE>& children() {
    static std::map<pid_t, HANDLE> children;
    return children;
}

pid_t start(int code, int input) {
    const std::string number = std::to_string(code);
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

std::function<int()> killed_by(int /*signal*/) {
    ADD_FAILURE() << "a process cannot be killed by a signal on Windows";
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
    const HANDLE process = children()[pid_];
    children().erase(std::exchange(pid_, -1));
    DWORD code = 0;
    GetExitCodeProcess(process, &code);
    CloseHandle(process);
    return static_cast<int>(code) << 8;
}

Stranger::Stranger(std::function<int()> /*body*/) {
    ADD_FAILURE() << "there are no grandchildren on Windows";
}
Stranger::~Stranger() = default;
void Stranger::go() {}
void Stranger::wait_until_exited() {}
void Stranger::reap() {}

int count_descriptors() {
    return static_cast<int>(open_descriptors().size());
}

}  // namespace kqtest
