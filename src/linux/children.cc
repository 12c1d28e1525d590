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

// struct pidfd_info as of Linux 6.15, which tells how large it is.
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

// As waitid(), but no cancellation point; it stays to be waited for.
Answer wait_for(idtype_t type, int id, int& status) {
    siginfo_t info;
    info.si_pid = 0;
    // Without WNOHANG's answer in si_pid it has not exited. __WALL: clone()d ones, too.
    if (syscall(SYS_waitid, type, id, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) != 0)
        return Answer::not_mine;
    if (info.si_pid == 0) return Answer::no;
    status = status_of(info);
    return Answer::yes;
}

// A kernel without P_PIDFD answers EINVAL; the number cannot be somebody else's
// while we are its parent, for nobody else can reap it.
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
    char state = 0;        // as of ps; 'Z' and 'X' have exited
    uint64_t started = 0;  // clock ticks since boot
    int exit_code = 0;     // 0, too, if we may not know
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
    constexpr int kStarted = 22;
    constexpr int kExitCode = 52;
    int field = 2;
    while ((at = strchr(at, ' ')) != nullptr) {
        at++;
        field++;
        if (field == kStarted) stat.started = strtoull(at, nullptr, 10);
        if (field == kExitCode) stat.exit_code = static_cast<int>(strtol(at, nullptr, 10));
    }
    return true;
}

// The exit code in /proc is 0 for those who may not trace the process. The same
// permission is asked for by its namespaces, which say so.
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

// The process has exited. The kernel tells strangers how when it is reaped
// (6.15 and later), /proc tells some of them while it is not.
Life ask_pidfd(int32_t pid, int pidfd, int& status) {
    if (has_exit_info(pidfd, status)) return Life::exited;
    Stat stat;
    const bool zombie = read_stat(pid, stat) && stat.exited();
    const bool known = zombie && (stat.exit_code != 0 || may_know(pid));
    if (is_reaped(pidfd)) {  // meanwhile: the number may be another process by now
        return has_exit_info(pidfd, status) ? Life::exited : Life::exited_unknown;
    }
    if (!known) return Life::exited_later;
    status = stat.exit_code;
    return Life::exited;
}

// Whether a process of that id exists; a thread that leads none does not count.
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
    // Also for a child of ours: one that is traced is first its tracer's to wait for.
    if ((sys::poll_now(pidfd, POLLIN) & POLLIN) == 0) return Life::running;
    return ask_pidfd(facts.pid, pidfd, status);
}

// ---- the pidfds of a kqueue ----

// A child that is forked in the midst of it walks through them, too.
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
    const long opened = syscall(SYS_pidfd_open, pid, 0);
    if (opened < 0 && (errno == ENOSYS || errno == EPERM)) {
        Stat stat;
        if (!exists(pid)) return Errno::no_process;
        facts.pid = pid;
        facts.started = read_stat(pid, stat) ? stat.started : 0;
        return Errno::unimplemented;
    }
    // A thread's id is EINVAL, or ENOENT, by the kernel's age.
    if (opened < 0 && (errno == EINVAL || errno == ENOENT)) return Errno::no_process;
    if (opened < 0) return last_errno();
    fd = static_cast<int>(opened);
    Slot* slot = take_slot();
    if (slot == nullptr) {
        sys::close(fd);
        return Errno::no_memory;
    }
    slot->fd.store(fd);
    facts.pid = pid;
    facts.place = slot;
    return Errno::ok;
}

void Pidfds::forget(ProcessFacts& facts) {
    if (facts.place != nullptr) {
        auto* slot = static_cast<Slot*>(facts.place);
        // Closed last: a child that is forked meanwhile must not close what is
        // another file by then.
        const int fd = slot->fd.exchange(-1);
        slot->next_free = free_;
        free_ = slot;
        sys::close(fd);
    }
    facts = ProcessFacts{};
}

void Pidfds::abandon_in_child() {
    for (Chunk* chunk = chunks_.load(); chunk != nullptr; chunk = chunk->next)
        for (Slot& slot : chunk->slots) {
            const int fd = slot.fd.exchange(-1);
            if (fd >= 0) sys::close(fd);
        }
}

}  // namespace kq
