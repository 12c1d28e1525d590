// SPDX-License-Identifier: BSD-2-Clause
#include "support/world.h"

#include <windows.h>

#include <stdlib.h>

namespace kqtest::world {
namespace {

// 0: the program ran, and exited with 0.
DWORD run_again(const std::string& arguments) {
    char self[MAX_PATH];
    GetModuleFileNameA(nullptr, self, sizeof self);
    std::string line = "\"" + std::string(self) + "\" " + arguments;
    STARTUPINFOA startup{};
    startup.cb = sizeof startup;
    PROCESS_INFORMATION process{};
    if (!CreateProcessA(self, line.data(), nullptr, nullptr, FALSE, DETACHED_PROCESS, nullptr,
                        nullptr, &startup, &process))
        return 1;
    DWORD code = 1;
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return code;
}

}  // namespace

bool on_wine() {
    static const bool wine =
        GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != nullptr;
    return wine;
}

bool passes_every_time(const std::string& test) {
    _putenv_s("GTEST_TOTAL_SHARDS", "1");
    _putenv_s("GTEST_SHARD_INDEX", "0");
    _putenv_s("KQ_NO_GAPS", "1");
    for (int i = 0; i < 10; i++)
        if (run_again("--gtest_filter=" + test) != 0) return false;
    return true;
}

}  // namespace kqtest::world
