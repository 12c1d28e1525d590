// SPDX-License-Identifier: BSD-2-Clause
// The class Child of thread.h. There is no fork(): the child is this program, started again. It
// runs the same test up to this Child, and then the body. So a body may use only what the test has
// done before in the child, too. Tests with other bodies have a row in gaps_windows.inc.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <windows.h>

#include <map>
#include <string>

#include "support/kq.h"
#include "support/thread.h"

namespace kqtest {
namespace {

// In the child: which Child of the test is to be run.
constexpr char kChild[] = "KQTEST_CHILD";
// Added to the result of the body. If an exit code lacks it, the C library has ended the process,
// as it does when a signal has no handler.
constexpr DWORD kRan = 0x1000;

int count_in_test() {
    static const testing::TestInfo* test = nullptr;
    static int count = 0;
    const testing::TestInfo* now = testing::UnitTest::GetInstance()->current_test_info();
    if (now != test) count = 0;
    test = now;
    return ++count;
}

struct Process {
    HANDLE handle;
    pid_t pid;
};

Process start(const testing::TestInfo& test, int errors) {
    char self[MAX_PATH];
    GetModuleFileNameA(nullptr, self, sizeof self);
    std::string line = "\"" + std::string(self) + "\" --gtest_filter=" + test.test_suite_name() +
                       "." + test.name();
    const auto pipe = reinterpret_cast<HANDLE>(_get_osfhandle(errors));
    SetHandleInformation(pipe, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    STARTUPINFOA startup{};
    startup.cb = sizeof startup;
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdError = pipe;
    PROCESS_INFORMATION process{};
    EXPECT_TRUE(CreateProcessA(self, line.data(), nullptr, nullptr, TRUE, DETACHED_PROCESS, nullptr,
                               nullptr, &startup, &process));
    SetHandleInformation(pipe, HANDLE_FLAG_INHERIT, 0);
    CloseHandle(process.hThread);
    return {process.hProcess, static_cast<pid_t>(process.dwProcessId)};
}

// Those that were not waited for. Child has only their numbers.
std::map<pid_t, HANDLE>& children() {
    static std::map<pid_t, HANDLE> children;
    return children;
}

// Sets a variable for a while.
class Environment {
  public:
    Environment(const char* name, const char* value) : name_(name) {
        const char* before = getenv(name);
        if (before != nullptr) before_ = before;
        kqposix::setenv(name, value, 1);
    }
    Environment(const Environment&) = delete;
    ~Environment() { kqposix::setenv(name_, before_.c_str(), 1); }  // "" removes it

  private:
    const char* name_;
    std::string before_;
};

}  // namespace

Child::Child(std::function<int()> body) {
    const std::string number = std::to_string(count_in_test());
    const char* wanted = getenv(kChild);
    if (wanted != nullptr && number == wanted)
        ExitProcess(kRan + (static_cast<DWORD>(body()) & 0xff));
    Pipe pipe = make_pipe();
    const Environment which(kChild, number.c_str());
    const Environment one_shard("GTEST_TOTAL_SHARDS", "1");
    const Environment the_first("GTEST_SHARD_INDEX", "0");
    const Process process =
        start(*testing::UnitTest::GetInstance()->current_test_info(), *pipe.write);
    pid_ = process.pid;
    children()[pid_] = process.handle;
    stderr_ = std::move(pipe.read);
}

Child::~Child() {
    if (waited_) return;
    const HANDLE process = children()[pid_];
    TerminateProcess(process, 9);
    WaitForSingleObject(process, INFINITE);
    CloseHandle(process);
    children().erase(pid_);
}

int Child::wait(milliseconds limit) {
    char bytes[512];
    for (ssize_t got; (got = kqposix::read(*stderr_, bytes, sizeof bytes)) > 0;)
        errors_.append(bytes, static_cast<size_t>(got));
    waited_ = true;
    const HANDLE process = children()[pid_];
    children().erase(pid_);
    DWORD code = 0;
    const bool ended =
        WaitForSingleObject(process, static_cast<DWORD>(limit.count())) == WAIT_OBJECT_0;
    EXPECT_TRUE(ended) << "a child does not end";
    if (!ended) TerminateProcess(process, 9);
    GetExitCodeProcess(process, &code);
    CloseHandle(process);
    if (!ended) return -1;
    if ((code & kRan) != 0 && code < 2 * kRan) return static_cast<int>(code & 0xff) << 8;
    return code == 3 ? SIGTERM : static_cast<int>(code & 0xff) << 8;
}

const std::string& Child::errors() {
    return errors_;
}

}  // namespace kqtest
