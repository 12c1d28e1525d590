// SPDX-License-Identifier: BSD-2-Clause
// The registry of watched children. See children.h.
#include "children.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <new>

#include "alloc.h"
#include "child_hints.h"
#include "dispositions.h"
#include "hash_index.h"
#include "mutex.h"
#include "signal_hub.h"
#include "signal_source.h"
#include "sys.h"

namespace kq {
namespace children {

struct Process;

// One kqueue's wish to hear of one process: ProcessFacts::place.
struct Watch {
    Process* process = nullptr;
    Children* owner = nullptr;
    Handle handle{};
    Watch* next_of_process = nullptr;
    Watch* next_of_news = nullptr;
    bool is_news = false;

    void tell();
    void untell();
};

struct Process {
    Process* chain = nullptr;
    int32_t pid = 0;
    Life life = Life::running;
    int status = 0;
    size_t place = 0;  // in Registry::all
    Watch* watches = nullptr;
    [[nodiscard]] uint64_t hash_key() const { return static_cast<uint32_t>(pid); }
};

void Watch::tell() {
    is_news = true;
    next_of_news = owner->news_;
    owner->news_ = this;
    bells::ring(*owner->bell_);
}

void Watch::untell() {
    Watch** at = &owner->news_;
    while (*at != this)
        at = &(*at)->next_of_news;
    *at = next_of_news;
    is_news = false;
}

namespace {

constexpr Nanos kSettle = 20 * kMillisecond;  // how long the program is given to reap
constexpr Nanos kHandlerCheck = 100 * kMillisecond;
constexpr size_t kPortion = 64;
constexpr int kShare = 20;  // looking takes at most 1/kShare of the time

constinit Mutex mutex;
constinit std::atomic<int> watches{0};
constinit std::atomic<Nanos> look_at{kForever};

// Under the lock. Made for the first watch, and destroyed with the last.
struct Registry {
    HashIndex<Process> by_pid;
    Process** all = nullptr;
    size_t count = 0;
    size_t capacity = 0;
    size_t turn = 0;            // in `all`: where the next look begins
    size_t left = 0;            // how many still have to be looked at, in portions
    Nanos ask_at = kForever;    // when to ask whether there are zombies
    Nanos sweep_at = kForever;  // when to look at the next portion, or at all
    bool sweep_all = false;
    Nanos rested_at = 0;  // when the time of the last look is made up for
    Nanos handler_checked = 0;
    Nanos blind_at = 0;  // when to look next without having been told
    Mailbox mailbox;     // for the signal hub; never read
    uint64_t seen = 0;

    ~Registry() { free(all); }
};
Registry* registry KQ_GUARDED_BY(mutex) = nullptr;

Process* find(int32_t pid) KQ_REQUIRES(mutex) {
    return registry->by_pid.find(static_cast<uint32_t>(pid),
                                 [pid](const Process& p) { return p.pid == pid; });
}

void end(Process& process, Life life, int status) {
    if (process.life != Life::running) return;
    process.life = life;
    process.status = status;
    for (Watch* watch = process.watches; watch != nullptr; watch = watch->next_of_process)
        watch->tell();
}

// Asks the system. `otherwise` and `status` hold if the process cannot be waited for any more.
void look_at_one(Process& process, Life otherwise, int status) {
    if (process.life != Life::running) return;
    siginfo_t info{};
    if (sys::wait_for(P_PID, static_cast<id_t>(process.pid), info) != 0)
        end(process, otherwise, status);
    else if (info.si_pid != 0)
        end(process, Life::exited, child_hints::status_of(info));
}

void look_at_next(size_t most) KQ_REQUIRES(mutex) {
    for (; most > 0; most--) {
        if (registry->turn >= registry->count) registry->turn = 0;
        look_at_one(*registry->all[registry->turn++], Life::exited_unknown, 0);
    }
}

// ---- when to look ----

void take_hints(Nanos t) KQ_REQUIRES(mutex) {
    child_hints::Hint hint{};
    while (child_hints::take(hint))
        if (Process* process = find(hint.pid)) look_at_one(*process, Life::exited, hint.status);
    registry->ask_at = std::min(registry->ask_at, t + kSettle);
}

// Otherwise, if the program leaves one zombie, each exit would cause a look at all children.
Nanos when_rested(Nanos t) KQ_REQUIRES(mutex) {
    return std::max(t, registry->rested_at);
}

// If there are zombies, no signal has named them, or they hide others. Then all children have to be
// looked at. If there are none, only those children are missing that were reaped and never named.
void ask_for_zombies(Nanos t) KQ_REQUIRES(mutex) {
    registry->ask_at = kForever;
    siginfo_t info{};
    const bool any = sys::wait_for(P_ALL, 0, info) == 0 && info.si_pid != 0;
    registry->left = registry->count;
    registry->sweep_all = registry->sweep_all || any;
    registry->sweep_at = std::min(registry->sweep_at, any ? when_rested(t) : t + kSettle);
}

void sweep(Nanos t) KQ_REQUIRES(mutex) {
    const size_t most = registry->sweep_all ? registry->count
                                            : std::min({registry->left, registry->count, kPortion});
    look_at_next(most);
    registry->left -= std::min(registry->left, most);
    registry->sweep_all = false;
    const Nanos end = now(Clock::monotonic);
    registry->rested_at = end + (end - t) * kShare;
    const Nanos next = std::max(end + kSettle, registry->rested_at);
    registry->sweep_at = registry->left > 0 ? next : kForever;
}

// Whether SIGCHLD does not reach us: this thread blocks it, or the program replaced our handler.
bool is_deaf(Nanos t) KQ_REQUIRES(mutex) {
    sigset_t mask;
    constexpr uint64_t kBit = signal_hub::bit_of(SIGCHLD);
    if (pthread_sigmask(SIG_BLOCK, nullptr, &mask) == 0 && sigismember(&mask, SIGCHLD) == 1)
        return true;
    if (t - registry->handler_checked < kHandlerCheck) return false;
    registry->handler_checked = t;
    return signal_hub::refresh(kBit);
}

void check(Nanos t) KQ_REQUIRES(mutex) {
    bool lost = false;
    if (child_hints::heard(lost)) take_hints(t);
    if (lost || (t >= registry->blind_at && is_deaf(t))) {
        registry->sweep_all = true;
        registry->sweep_at = std::min(registry->sweep_at, when_rested(t));
    }
    if (t >= registry->ask_at) ask_for_zombies(t);
    if (t >= registry->sweep_at) {
        sweep(t);
        registry->blind_at = registry->sweep_at == kForever ? t + kSettle : registry->sweep_at;
    }
    look_at.store(std::min(registry->ask_at, registry->sweep_at));
}

// ---- coming and going ----

Errno begin() KQ_REQUIRES(mutex) {
    if (registry != nullptr) return Errno::ok;
    Owned<Registry> fresh = make<Registry>();
    if (!fresh) return Errno::no_memory;
    dispositions::tell_of_children(child_hints::leave);
    const Errno error = signal_hub::watch(SIGCHLD, fresh->mailbox, fresh->seen);
    if (error == Errno::ok) registry = fresh.release();
    return error;
}

void end_if_idle() KQ_REQUIRES(mutex) {
    if (registry == nullptr || registry->count > 0) return;
    signal_hub::unwatch(SIGCHLD, registry->mailbox);
    dispositions::tell_of_children(nullptr);
    Owned<Registry>(registry).reset();
    registry = nullptr;
    look_at.store(kForever);
}

// True for a zombie, too, and for a later process that got the same number.
bool exists(int32_t pid) {
    return kill(pid, 0) == 0 || errno == EPERM;
}

// The process of that number, entered into the registry if new. Null: `error` says why.
Process* enter(int32_t pid, Errno& error) KQ_REQUIRES(mutex) {
    siginfo_t info{};
    if (sys::wait_for(P_PID, static_cast<id_t>(pid), info) != 0) {
        // Not our child: no signal will come for it. But we can ask whether it is there.
        error = exists(pid) ? Errno::unimplemented : Errno::no_process;
        return nullptr;
    }
    Process* process = find(pid);
    if (process == nullptr || (process->life != Life::running && info.si_pid == 0)) {
        // The number is not known, or the known process is an earlier one of that number.
        Owned<Process> fresh = make<Process>();
        error = Errno::no_memory;
        if (!fresh || !registry->by_pid.reserve() ||
            !grow_array(registry->all, registry->capacity, registry->count + 1))
            return nullptr;
        if (process != nullptr) registry->by_pid.remove(process);
        fresh->pid = pid;
        fresh->place = registry->count;
        process = fresh.release();
        registry->all[registry->count++] = process;
        registry->by_pid.insert(process);
    }
    error = Errno::ok;
    if (info.si_pid != 0) end(*process, Life::exited, child_hints::status_of(info));
    return process;
}

void leave(Process& process) KQ_REQUIRES(mutex) {
    Process* last = registry->all[--registry->count];
    registry->all[process.place] = last;
    last->place = process.place;
    if (find(process.pid) == &process) registry->by_pid.remove(&process);
    Owned<Process>(&process).reset();
}

}  // namespace

bool anybody_waits() {
    return watches.load() > 0;
}

}  // namespace children

using children::Watch;

void Children::begin_to_hear(Bell& bell) {
    bell_ = &bell;
    children::watches.fetch_add(1);
    watched_.fetch_add(1);
    bell.hears_children.store(true);
}

void Children::end_of_one() KQ_NO_ANALYSIS {
    children::watches.fetch_sub(1);
    if (watched_.fetch_sub(1) == 1) bell_->hears_children.store(false);
    children::end_if_idle();
}

Errno Children::watch(int32_t pid, Handle handle, Bell& bell, ProcessFacts& facts) {
    const Guard guard(children::mutex);
    Errno error = children::begin();
    if (error != Errno::ok) return error;
    Owned<Watch> fresh = make<Watch>();
    begin_to_hear(bell);  // before the child is asked for: it may exit just after
    children::Process* process = fresh ? children::enter(pid, error) : nullptr;
    if (process == nullptr) {
        end_of_one();
        if (error == Errno::unimplemented) facts.pid = pid;
        return fresh ? error : Errno::no_memory;
    }
    Watch* watch = fresh.release();
    watch->owner = this;
    watch->process = process;
    watch->handle = handle;
    watch->next_of_process = process->watches;
    process->watches = watch;
    facts.pid = pid;
    facts.place = watch;
    if (process->life != Life::running) watch->tell();
    return Errno::ok;
}

void Children::unwatch(ProcessFacts& facts) {
    const Owned<Watch> watch(static_cast<Watch*>(facts.place));
    facts = ProcessFacts{};
    if (!watch) return;
    const Guard guard(children::mutex);
    if (children::registry == nullptr) return;  // a watch of the parent: see abandon_in_child()
    if (watch->is_news) watch->untell();
    children::Process& process = *watch->process;
    Watch** at = &process.watches;
    while (*at != watch.get())
        at = &(*at)->next_of_process;
    *at = watch->next_of_process;
    if (process.watches == nullptr) children::leave(process);
    end_of_one();
}

void Children::look(Nanos t) const {
    if (watched_.load() == 0) return;
    const Guard guard(children::mutex);
    children::check(t);
}

size_t Children::collect(std::span<Wakeup> out, Nanos t) {
    if (watched_.load() == 0) return 0;
    const Guard guard(children::mutex);
    children::check(t);
    size_t count = 0;
    while (news_ != nullptr && count < out.size()) {
        out[count++] = {news_->handle, 0, 0};
        news_->untell();
    }
    return count;
}

bool Children::has_news() const {
    if (watched_.load() == 0) return false;
    const Guard guard(children::mutex);
    return news_ != nullptr;
}

Nanos Children::next_look() const {
    return watched_.load() == 0 ? kForever : children::look_at.load();
}

// In a forked child: all watched children are the parent's.
void Children::abandon_in_child() KQ_NO_ANALYSIS {
    ::new (&children::mutex) Mutex;
    if (children::registry == nullptr) return;
    for (size_t i = 0; i < children::registry->count; i++)
        Owned<children::Process>(children::registry->all[i]).reset();
    Owned<children::Registry>(children::registry).reset();
    children::registry = nullptr;
    children::watches.store(0);
    children::look_at.store(kForever);
    dispositions::tell_of_children(nullptr);
}

Life processes::ask(const ProcessFacts& facts, int& status) {
    const auto* watch = static_cast<const Watch*>(facts.place);
    if (watch == nullptr) return children::exists(facts.pid) ? Life::running : Life::exited_unknown;
    const Guard guard(children::mutex);
    children::Process& process = *watch->process;
    children::look_at_one(process, Life::exited_unknown, 0);
    status = process.status;
    return process.life;
}

}  // namespace kq
