// Pipes that are rung. See doorbell.h.
#include "doorbell.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <new>

#include "alloc.h"
#include "mutex.h"
#include "sys.h"

namespace kq::doorbell {
namespace {

// Public numbers to bells: as registry_cells.h has them to cells. What is found there
// may have moved, or be another kqueue's by now.
constexpr size_t kChunk = 1024;
constexpr size_t kChunks = 2048;
struct Chunk {
    std::atomic<Doorbell*> bells[kChunk];
};
constinit std::atomic<Chunk*> directory[kChunks] = {};

constinit std::atomic<Doorbell*> all{nullptr};
constinit std::atomic<uint64_t> device{0};  // of pipes
constinit Mutex mutex;
Doorbell* unused KQ_GUARDED_BY(mutex) = nullptr;

std::atomic<Doorbell*>* at(int number) {
    const auto n = static_cast<size_t>(number);
    if (number < 0 || n / kChunk >= kChunks) return nullptr;
    Chunk* chunk = directory[n / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk->bells[n % kChunk];
}

std::atomic<Doorbell*>* make_at(int number) {
    const auto n = static_cast<size_t>(number);
    if (n / kChunk >= kChunks) return nullptr;
    std::atomic<Chunk*>& place = directory[n / kChunk];
    if (place.load() == nullptr)  // all zero is what a Chunk starts with
        place.store(static_cast<Chunk*>(calloc(1, sizeof(Chunk))), std::memory_order_release);
    return at(number);
}

Doorbell* take() {
    {
        const Guard guard(mutex);
        if (Doorbell* bell = unused) {
            unused = bell->next_free;
            return bell;
        }
    }
    Doorbell* bell = make<Doorbell>().release();
    if (bell == nullptr) return nullptr;
    bell->next_of_all = all.load();
    while (!all.compare_exchange_weak(bell->next_of_all, bell)) {
    }
    return bell;
}

void give_back(Doorbell& bell) {
    const Guard guard(mutex);
    bell.next_free = unused;
    unused = &bell;
}

// Tells open pipes apart; 0: it is none.
uint64_t file_of(int fd) {
    struct stat st {};
    if (fd < 0 || sys::stat_number(fd, &st) != 0 || !S_ISFIFO(st.st_mode)) return 0;
    return (static_cast<uint64_t>(st.st_dev) * 0x9e3779b97f4a7c15u ^
            static_cast<uint64_t>(st.st_ino)) |
           uint64_t{1} << 63;
}

bool prepare(int fd) {
    const int flags = sys::control(fd, F_GETFL);
    return flags >= 0 && sys::control(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           sys::control(fd, F_SETFD, FD_CLOEXEC) == 0;
}

// A program that closes all descriptors, as daemons do, closes ours, too; the numbers are
// its own files then.
bool is_ours(const Doorbell& bell, int fd) {
    const uint64_t file = bell.file.load();
    return file != 0 && file_of(fd) == file;
}

void put_byte(const Doorbell& bell) {
    const int out = bell.out.load();
    if (is_ours(bell, out)) (void)sys::write(out, "", 1);  // full is as good
}

// Doorbell::state: what has been done since hear(), and above that a count of hear(). Who rings has
// to leave a byte before he returns, also if another one began earlier and has not come so
// far; a late byte of one that was heard already must not pass for that of the next.
constexpr uint32_t kQuiet = 0;
constexpr uint32_t kRinging = 1;  // somebody does, the byte may be missing yet
constexpr uint32_t kRung = 2;     // and the byte is there
constexpr uint32_t kStates = 4;

constexpr uint32_t with(uint32_t state, uint32_t what) {
    return state / kStates * kStates + what;
}

bool is_quiet(const Doorbell& bell) {
    return bell.state.load() % kStates == kQuiet;
}

void drain(const Doorbell& bell) {
    const int in = bell.in.load();
    if (!is_ours(bell, in)) return;
    char bytes[64];
    while (sys::read(in, bytes, sizeof bytes) == sizeof bytes) {
    }
}

Errno open_pipe(Doorbell& bell) {
    int ends[2] = {-1, -1};
    if (pipe(ends) != 0) return last_errno();
    const int in = sys::control(ends[0], F_DUPFD_CLOEXEC);
    Errno error = in < 0 || !prepare(ends[0]) || !prepare(ends[1]) ? last_errno() : Errno::ok;
    if (error == Errno::ok && make_at(ends[0]) == nullptr) error = Errno::no_memory;
    if (error != Errno::ok) {
        if (in >= 0) sys::close(in);
        sys::close(ends[0]);
        sys::close(ends[1]);
        return error;
    }
    struct stat st {};
    if (sys::stat_number(in, &st) == 0) device.store(static_cast<uint64_t>(st.st_dev));
    bell.in.store(in);
    bell.out.store(ends[1]);
    bell.file.store(file_of(in));
    bell.state.store(kQuiet);
    bell.held.store(false);
    return move(bell, ends[0]);
}

}  // namespace

Errno open(uint32_t tag, Doorbell*& bell) {
    Doorbell* fresh = take();
    if (fresh == nullptr) return Errno::no_memory;
    const Errno error = open_pipe(*fresh);
    if (error != Errno::ok) {
        give_back(*fresh);
        return error;
    }
    fresh->tag.store(tag);
    bell = fresh;
    return error;
}

void close(Doorbell& bell, bool waits) {
    bell.tag.store(0);
    bell.hears_children.store(false);
    while (waits && bell.ringers.load() != 0)
        (void)sched_yield();
    if (!waits) bell.ringers.store(0);
    for (std::atomic<int>* fd : {&bell.in, &bell.out})
        if (is_ours(bell, fd->load())) sys::close(fd->exchange(-1));
    bell.file.store(0);
    give_back(bell);
}

Errno move(Doorbell& bell, int number) {
    bell.number.store(number);
    std::atomic<Doorbell*>* place = make_at(number);
    if (place == nullptr) return Errno::no_memory;
    place->store(&bell);
    return Errno::ok;
}

bool is_open(const Doorbell& bell) {
    return is_ours(bell, bell.number.load());
}

void ring_owned(Doorbell& bell) {
    bell.rings.fetch_add(1);
    uint32_t seen = bell.state.load();
    while (seen % kStates == kQuiet && !bell.state.compare_exchange_weak(seen, seen + kRinging)) {
    }
    if (seen % kStates == kRung) return;
    put_byte(bell);
    uint32_t mine = with(seen, kRinging);
    (void)bell.state.compare_exchange_strong(mine, with(seen, kRung));
}

Errno post(int number, uint32_t tag) {
    const std::atomic<Doorbell*>* place = at(number);
    Doorbell* bell = place == nullptr ? nullptr : place->load();
    if (bell == nullptr) return Errno::bad_descriptor;
    bell->ringers.fetch_add(1);
    const bool right =
        tag != 0 && bell->tag.load() == tag && bell->number.load() == number && is_open(*bell);
    if (right) ring_owned(*bell);
    bell->ringers.fetch_sub(1);
    return right ? Errno::ok : Errno::bad_descriptor;
}

// Emptied first: who rings after that puts a byte in, and who does before is heard.
bool hear(Doorbell& bell) {
    if (!bell.held.load()) drain(bell);
    uint32_t seen = bell.state.load();
    while (!bell.state.compare_exchange_weak(seen, with(seen + kStates, kQuiet))) {
    }
    return seen % kStates != kQuiet;
}

void hold(Doorbell& bell, bool on) {
    if (bell.held.exchange(on) == on) return;
    if (on) return put_byte(bell);
    if (!is_quiet(bell)) return;  // hear() will take its byte, too
    drain(bell);
    if (!is_quiet(bell)) put_byte(bell);  // rung meanwhile, and the byte may have gone
}

bool ring_for_children() {
    bool any = false;
    for (Doorbell* bell = all.load(); bell != nullptr; bell = bell->next_of_all) {
        bell->ringers.fetch_add(1);
        if (bell->hears_children.load()) {
            any = true;
            ring_owned(*bell);
        }
        bell->ringers.fetch_sub(1);
    }
    return any;
}

Doorbell* find(int number) {
    const std::atomic<Doorbell*>* place = at(number);
    Doorbell* bell = place == nullptr ? nullptr : place->load();
    if (bell == nullptr || bell->tag.load() == 0) return nullptr;
    return bell->number.load() == number && is_open(*bell) ? bell : nullptr;
}

// Pipes have one number in their file systems for both ends: our own are none of the user's.
uint32_t tag_of(int number) {
    if (const Doorbell* bell = find(number)) return bell->tag.load();
    const uint64_t file = file_of(number);
    if (file == 0) return 0;
    for (const Doorbell* bell = all.load(); bell != nullptr; bell = bell->next_of_all) {
        if (bell->tag.load() == 0 || bell->file.load() != file) continue;
        const bool own = bell->in.load() == number || bell->out.load() == number;
        return own ? 0 : bell->tag.load();
    }
    return 0;
}

bool is_pipe_device(uint64_t d) {
    return device.load() == d;
}

void abandon_in_child() {
    ::new (&mutex) Mutex;
}

}  // namespace kq::doorbell
