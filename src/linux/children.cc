// SPDX-License-Identifier: BSD-2-Clause
// What has become of a process: pidfd, waitid(), /proc. See children.h.
#include "children.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "alloc.h"
#include "own_file.h"
#include "sys.h"

#ifndef SYS_pidfd_open
    #define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
    #define SYS_pidfd_send_signal 424
#endif

namespace kq {
namespace {

// ---- what the headers of a build machine may lack ----

constexpr idtype_t kByPidfd = static_cast<idtype_t>(3);  // P_PIDFD, Linux 5.4

// struct pidfd_info as of Linux 6.15. The request carries its size.
struct PidfdInfo {
    uint64_t mask;
    uint64_t cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr uint64_t kInfoExit = 1u << 3;                         // PIDFD_INFO_EXIT
constexpr unsigned long kGetInfo = _IOWR(0xff, 11, PidfdInfo);  // PIDFD_GET_INFO

// ---- asking as the parent ----

int status_of(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
    return info.si_code == CLD_DUMPED ? info.si_status | 0x80 : info.si_status;
}

enum class Answer : uint8_t { no, yes, not_mine };

// As waitid(), but no cancellation point. The process is not reaped.
Answer wait_for(idtype_t type, int id, int& status) {
    siginfo_t info;
    info.si_pid = 0;
    // If WNOHANG left si_pid 0, it has not exited. __WALL: processes of clone(), too.
    if (syscall(SYS_waitid, type, id, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) != 0)
        return Answer::not_mine;
    if (info.si_pid == 0) return Answer::no;
    status = status_of(info);
    return Answer::yes;
}

// A kernel without P_PIDFD answers EINVAL. Then the number is used. That is safe: no other process
// than the parent can reap the process, so its number is not used again.
Answer ask_as_parent(int32_t pid, int pidfd, int& status) {
    Answer answer = Answer::not_mine;
    if (pidfd >= 0) {
        answer = wait_for(kByPidfd, pidfd, status);
        if (answer != Answer::not_mine || errno != EINVAL) return answer;
    }
    return wait_for(P_PID, pid, status);
}

// ---- asking /proc ----

struct Stat {
    char state = 0;  // as in ps; 'Z' and 'X' have exited
    pid_t parent = 0;
    uint64_t started = 0;  // clock ticks since boot
    int exit_code = 0;     // also 0 if we may not know it
    [[nodiscard]] bool exited() const { return state == 'Z' || state == 'X'; }
};

// False if there is no such process, or no /proc.
bool read_stat(int32_t pid, Stat& stat) {
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
    const int fd = sys::open_for_reading(path);
    if (fd < 0) return false;
    char text[1024];
    const ssize_t n = sys::read(fd, text, sizeof text - 1);
    sys::close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    const char* at = strrchr(text, ')');  // the name before it may contain anything
    if (at == nullptr || at[1] != ' ') return false;
    stat.state = at[2];
    constexpr int kParent = 4;
    constexpr int kStarted = 22;
    constexpr int kExitCode = 52;
    int field = 2;
    while ((at = strchr(at, ' ')) != nullptr) {
        at++;
        field++;
        if (field == kParent) stat.parent = static_cast<pid_t>(strtol(at, nullptr, 10));
        if (field == kStarted) stat.started = strtoull(at, nullptr, 10);
        if (field == kExitCode) stat.exit_code = static_cast<int>(strtol(at, nullptr, 10));
    }
    return true;
}

// The exit code in /proc is 0 for those who may not trace the process. Reading its namespaces needs
// the same permission, and says whether we have it.
bool may_know(int32_t pid) {
    char path[40];
    char target[40];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", static_cast<int>(pid));
    return syscall(SYS_readlinkat, AT_FDCWD, path, target, sizeof target) > 0;
}

// ---- asking without being the parent ----

bool has_exit_info(int pidfd, int& status) {
    PidfdInfo info{};
    info.mask = kInfoExit;
    if (ioctl(pidfd, kGetInfo, &info) != 0 || (info.mask & kInfoExit) == 0) return false;
    status = info.exit_code;
    return true;
}

bool is_reaped(int pidfd) {
    return syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) != 0 && errno == ESRCH;
}

// The process has exited. After it was reaped, the kernel tells all processes how it ended (6.15
// and later). Before that /proc tells it to some of them.
Life ask_pidfd(int32_t pid, int pidfd, int& status) {
    if (has_exit_info(pidfd, status)) return Life::exited;
    Stat stat;
    const bool zombie = read_stat(pid, stat) && stat.exited();
    const bool known = zombie && (stat.exit_code != 0 || may_know(pid));
    if (is_reaped(pidfd)) {  // it was reaped just now: the number may name another process
        return has_exit_info(pidfd, status) ? Life::exited : Life::exited_unknown;
    }
    if (!known) return Life::exited_later;
    status = stat.exit_code;
    return Life::exited;
}

// Whether a process of that id exists. The id of a thread that leads no process does not count.
bool exists(int32_t pid) {
    return syscall(SYS_tgkill, pid, pid, 0) == 0 || errno != ESRCH;
}

Life ask_number(const ProcessFacts& facts, int& status) {
    Stat stat;
    if (!read_stat(facts.pid, stat))
        return exists(facts.pid) ? Life::running : Life::exited_unknown;
    if (facts.started != 0 && stat.started != facts.started) return Life::exited_unknown;
    if (!stat.exited()) return Life::running;
    if (stat.exit_code == 0 && !may_know(facts.pid)) return Life::exited_unknown;
    status = stat.exit_code;
    return Life::exited;
}

int fd_of(const ProcessFacts& facts) {
    if (facts.place == nullptr) return -1;
    return static_cast<const Pidfds::Slot*>(facts.place)->fd.load(std::memory_order_relaxed);
}

}  // namespace

Life processes::ask(const ProcessFacts& facts, int& status) {
    const int pidfd = fd_of(facts);
    const Answer answer = ask_as_parent(facts.pid, pidfd, status);
    if (answer == Answer::yes) return Life::exited;
    if (pidfd < 0) return answer == Answer::no ? Life::running : ask_number(facts, status);
    // This is true of our child, too: if it is traced, its tracer may wait for it first.
    if ((sys::poll_now(pidfd, POLLIN) & POLLIN) == 0) return Life::running;
    return ask_pidfd(facts.pid, pidfd, status);
}

// Without /proc this cannot be told.
bool Pidfds::is_out_of_reach(int32_t pid) {
    Stat stat;
    return !read_stat(pid, stat) || stat.parent == getppid();
}

// ---- a pidfd of the program's own ----

namespace {

// The process that a pidfd names, from what the kernel says of the descriptor. -1: it has been
// reaped, or we cannot see it. invalid: it is no pidfd, or there is no /proc. Other errors:
// descriptors or memory are short.
Errno process_of(int fd, int32_t& pid) {
    char text[512];
    (void)snprintf(text, sizeof text, "/proc/self/fdinfo/%d", fd);
    const int info = sys::open_for_reading(text);
    if (info < 0) {
        const bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        return is_short ? last_errno() : Errno::invalid;
    }
    const ssize_t length = sys::read(info, text, sizeof text - 1);
    const Errno error = length < 0 ? last_errno() : Errno::ok;
    sys::close(info);
    if (error != Errno::ok) return error;
    text[length] = '\0';
    constexpr char kField[] = "\nPid:";
    const char* at = strstr(text, kField);
    if (at == nullptr) return Errno::invalid;
    pid = static_cast<int32_t>(strtol(at + sizeof kField - 1, nullptr, 10));
    return Errno::ok;
}

}  // namespace

Errno processes::check_descriptor(int fd) {
    int32_t pid = 0;
    return process_of(fd, pid);
}

Life processes::ask_descriptor(int fd, int& status) {
    const Answer answer = wait_for(kByPidfd, fd, status);
    if (answer == Answer::yes) return Life::exited;
    if ((sys::poll_now(fd, POLLIN) & POLLIN) == 0) return Life::running;
    int32_t pid = -1;
    (void)process_of(fd, pid);
    return ask_pidfd(pid, fd, status);
}

// ---- the pidfds of a kqueue ----

// A child that is forked while this runs walks through the chunks, too.
Pidfds::~Pidfds() {
    abandon_in_child();
    for (Chunk* chunk = chunks_.exchange(nullptr); chunk != nullptr;) {
        const Owned<Chunk> dead(chunk);
        chunk = chunk->next;
    }
}

Pidfds::Slot* Pidfds::take_slot() {
    if (free_ == nullptr) {
        Owned<Chunk> fresh = make<Chunk>();
        if (!fresh) return nullptr;
        for (Slot& slot : fresh->slots) {
            slot.next_free = free_;
            free_ = &slot;
        }
        fresh->next = chunks_.load();
        chunks_.store(fresh.release());
    }
    Slot* slot = free_;
    free_ = slot->next_free;
    return slot;
}

Errno Pidfds::open(int32_t pid, ProcessFacts& facts, int& fd) {
    int opened = own_file::keep(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), this);
    if (opened < 0 && (errno == ENOSYS || errno == EPERM)) {
        Stat stat;
        if (!exists(pid)) return Errno::no_process;
        facts.pid = pid;
        facts.started = read_stat(pid, stat) ? stat.started : 0;
        return Errno::unimplemented;
    }
    // For the id of a thread the kernel answers EINVAL or ENOENT, depending on its version.
    if (opened < 0 && (errno == EINVAL || errno == ENOENT)) return Errno::no_process;
    if (opened < 0) return last_errno();
    Slot* slot = take_slot();
    if (slot == nullptr) {
        own_file::close(opened, this);
        return Errno::no_memory;
    }
    fd = opened;
    slot->fd.store(fd);
    facts.pid = pid;
    facts.place = slot;
    return Errno::ok;
}

void Pidfds::forget(ProcessFacts& facts) {
    if (facts.place != nullptr) {
        auto* slot = static_cast<Slot*>(facts.place);
        // Closed last: a child that another thread forks at this moment must not close a number
        // that is another file then.
        int fd = slot->fd.exchange(-1);
        slot->next_free = free_;
        free_ = slot;
        own_file::close(fd, this);
    }
    facts = ProcessFacts{};
}

void Pidfds::abandon_in_child() {
    for (Chunk* chunk = chunks_.load(); chunk != nullptr; chunk = chunk->next)
        for (Slot& slot : chunk->slots) {
            int fd = slot.fd.exchange(-1);
            own_file::close(fd, this);
        }
}

}  // namespace kq
