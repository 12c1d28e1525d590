// FdWatch: one kernel interest for all knotes of a descriptor. See fd_watch.h.
// Everything here runs under the kqueue's mutex.
#include "fd_watch.h"

#include "fd_filter.h"
#include "registry.h"
#include "trace.h"
#include "vnode.h"

namespace kq::fd_watch {
namespace {

constexpr Direction kBoth[] = {Direction::read, Direction::write};

// Whether the number still names the kqueue that is watched: not registered,
// then, because that has moved to a new kernel queue (Kqueue::renew). The registry may
// know a closed one by this number, which is any file by now.
bool was_renewed(int fd, const FdWatch& watch) {
    return watch.facts.kind == FdKind::kqueue && registry::serial_of(fd) == watch.facts.identity &&
           registry::is_live(fd);
}

void start_afresh(FdFacts& facts) {
    facts.registered = 0;
    for (Mode& armed : facts.armed)
        armed = Mode::none;
}

// Registers the new kernel queue of a kqueue that is watched. What it has to tell may
// have been told by the old one: counting says whether it is news.
void follow(Kqueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    start_afresh(watch.facts);
    const Errno error = tell_or_forget(kq, fd, watch, bit(Direction::read));
    if (is_gone(error)) return;
    Knote* kn = note_of(watch, EVFILT_READ);
    if (kn == nullptr || kn->has(kDisabled)) return;
    if (error == Errno::ok)
        kq.activate(*kn);
    else if (!kn->has(kQueued) && !kn->has(kParked))
        kq.park(*kn, Parking::recheck);  // and then again: see follow_parked()
}

}  // namespace

bool follow_parked(Kqueue& kq, Knote& kn) {
    FdWatch& watch = watch_of(kq, kn);
    if (watch.facts.registered != 0 || !was_renewed(fd_of(kn), watch)) return false;
    follow(kq, fd_of(kn), watch);
    return true;
}

FdWatch& watch_of(Kqueue& kq, const Knote& kn) {
    FdWatch* watch = kq.watches().find(kn.ident);
    KQ_CHECK(watch != nullptr);
    return *watch;
}

Knote* note_of(const FdWatch& watch, int16_t filter) {
    for (Knote* kn = watch.notes; kn != nullptr; kn = kn->chain)
        if (kn->filter == filter) return kn;
    return nullptr;
}

Errno prepare(Kqueue& kq, uintptr_t ident) {
    // The table grows with the largest number: not for one that nobody opened.
    if (kq.watches().find(ident) == nullptr) {
        const Errno error = descriptor::check_open(static_cast<int>(ident));
        if (error != Errno::ok) return error;
    }
    return kq.watches().at(ident) == nullptr ? Errno::no_memory : Errno::ok;
}

Handle handle_of(int fd, const FdWatch& watch) {
    return {Handle::Kind::descriptor, static_cast<uint32_t>(fd), watch.generation};
}

void reset(FdWatch& watch) {
    KQ_CHECK(watch.facts.file_watch == 0 && watch.facts.parent_watch == 0);
    watch.facts = FdFacts{};
    watch.generation++;
}

// ---- the list of a watch ----

void link(FdWatch& watch, Knote& kn) {
    kn.chain = watch.notes;
    watch.notes = &kn;
}

void unlink(FdWatch& watch, Knote& kn) {
    Knote** at = &watch.notes;
    while (*at != &kn) {
        KQ_CHECK(*at != nullptr);
        at = &(*at)->chain;
    }
    *at = kn.chain;
    kn.chain = nullptr;
}

// ---- the kernel's interest ----

Errno tell(Kqueue& kq, int fd, FdWatch& watch, uint8_t rearm) {
    Interest want;
    for (const Direction d : kBoth) {
        FdKnote* kn = knote_for(watch, filter_of(d));
        want[d] = mode_for(kn);
        const bool lazy = want[d] == Mode::none && (rearm & bit(d)) == 0;
        if (lazy && watch.facts.armed_for(d) == Mode::level) want[d] = Mode::level;
        // Has been reported and waits for its turn, which decides.
        const bool spent = want[d] == Mode::once && watch.facts.armed_for(d) == Mode::none;
        if (spent && (rearm & bit(d)) == 0) want[d] = Mode::none;
        // What is queued and was backed by level has to be announced from now on.
        if (kn != nullptr && want[d] != Mode::level) kq.set_backed(*kn, false);
    }
    Errno error = kq.backend().watch(fd, want, rearm, handle_of(fd, watch), watch.facts);
    if (error == Errno::no_entry && was_renewed(fd, watch)) {
        start_afresh(watch.facts);
        error = kq.backend().watch(fd, want, rearm, handle_of(fd, watch), watch.facts);
    }
    // Disabled knotes without a registration: see check_same().
    if (error == Errno::ok && watch.facts.registered == 0 && watch.notes != nullptr &&
        watch.facts.kind == FdKind::unknown)
        (void)descriptor::classify(fd, watch.facts);
    return error;
}

Errno tell_or_forget(Kqueue& kq, int fd, FdWatch& watch, uint8_t rearm) {
    const Errno error = tell(kq, fd, watch, rearm);
    if (is_gone(error)) forget(kq, fd);
    return error;
}

Errno check_same(Kqueue& kq, int fd, FdWatch& watch) {
    Errno error = Errno::ok;
    if (watch.facts.registered != 0)
        error = kq.backend().still(fd, watch.facts);
    else if (watch.facts.kind == FdKind::kqueue)
        error = Errno::no_entry;
    else if (watch.facts.kind != FdKind::unknown)
        error = descriptor::check_same(fd, watch.facts);
    if (error == Errno::no_entry && was_renewed(fd, watch)) {
        start_afresh(watch.facts);
        error = tell(kq, fd, watch, 0);
    }
    if (is_gone(error)) forget(kq, fd);
    return error;
}

void settle_carried(Kqueue& kq, int fd, FdWatch& watch, Errno error) {
    if (error == Errno::no_entry && was_renewed(fd, watch)) {
        follow(kq, fd, watch);
    } else if (error != Errno::ok) {
        forget(kq, fd);
    } else if (watch.facts.registered == 0 && watch.facts.kind == FdKind::unknown &&
               watch.notes != nullptr) {
        // It says what file that is; where nothing is registered, nothing else would.
        (void)descriptor::classify(fd, watch.facts);
    }
}

void follow_renewed(Kqueue& kq) {
    kq.watches().for_each([&kq](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        if (watch.facts.kind != FdKind::kqueue) return;
        // What is not registered although it should be was refused the last time.
        const bool silent = mode_for(knote_for(watch, EVFILT_READ)) == Mode::none;
        if (watch.facts.registered == 0 && silent) return;
        const int number = static_cast<int>(fd);
        if (watch.facts.registered != 0 && kq.backend().still(number, watch.facts) == Errno::ok)
            return;
        if (was_renewed(number, watch)) follow(kq, number, watch);
    });
}

// ---- files ----

Errno watch_file(Kqueue& kq, int fd, FdWatch& watch) {
    uint32_t wanted = 0;
    const Knote* reader = note_of(watch, EVFILT_READ);
    if (reader != nullptr && (reader->filter_bits & kWatched) != 0) wanted |= kModified;
    const Knote* kn = note_of(watch, EVFILT_VNODE);
    if (kn != nullptr) wanted |= vnode::wanted_by(*kn, watch.facts);
    return kq.backend().watch_file(fd, wanted, handle_of(fd, watch), watch.facts);
}

namespace {

// Whether the number names the file that is watched, and that is a removed one, for all one knows.
bool is_nameless(FdWatch& watch, int fd) {
    FileState now;
    const Errno error = descriptor::file_state(fd, watch.facts, now);
    return error == Errno::ok ? now.links == 0 : !is_gone(error);  // no reason to drop it
}

}  // namespace

void on_file_changed(Kqueue& kq, Handle handle, uint32_t changes) {
    FdWatch* watch = find_watch(kq, handle);
    if (watch == nullptr) return;
    if ((changes & kGone) != 0) {
        if (!is_nameless(*watch, static_cast<int>(handle.index()))) {
            forget(kq, static_cast<int>(handle.index()));
            return;
        }
        changes |= kUnknown;
    }
    FdKnote* reader = knote_for(*watch, EVFILT_READ);
    const bool concerns = (changes & (kModified | kUnknown | kLost)) != 0;
    if (concerns && reader != nullptr && (reader->filter_bits & kWatched) != 0)
        fd_filter::look_again(kq, *reader);
    // Last: it may find that the number is another file, and drop all.
    if (Knote* kn = note_of(*watch, EVFILT_VNODE)) vnode::on_changed(kq, *kn, changes);
}

void notice_gone(Kqueue& kq, const FdWatch& watch) {
    if (watch.facts.file_watch != 0) kq.take_files();
}

// ---- what the kernel says ----

FdWatch* find_watch(Kqueue& kq, Handle handle) {
    FdWatch* watch = kq.watches().find(handle.index());
    const bool same = watch != nullptr &&
                      handle_of(static_cast<int>(handle.index()), *watch).bits() == handle.bits();
    return same ? watch : nullptr;
}

bool on_wakeup(Kqueue& kq, const Wakeup& wakeup) {
    const int fd = static_cast<int>(wakeup.handle.index());
    FdWatch* watch = find_watch(kq, wakeup.handle);
    if (watch == nullptr) {
        kq.note_stale();
        return false;
    }
    constexpr uint16_t kEither = kHangup | kFailed;
    constexpr uint16_t kConcerns[] = {kEither | kReadable | kReadHangup, kEither | kWritable};
    uint8_t unwanted = 0;
    bool repeated = false;
    for (const Direction d : kBoth) {
        const auto i = static_cast<size_t>(d);
        FdFacts& facts = watch->facts;
        const Mode armed = facts.armed[i];
        if (armed == Mode::none || facts.lane[i] != wakeup.lane) continue;
        if (armed == Mode::once)
            facts.armed[i] = Mode::none;
        else if ((wakeup.ready & kConcerns[i]) == 0)
            continue;
        if (armed == Mode::edge && kq.edges_are_old()) continue;
        FdKnote* kn = knote_for(*watch, filter_of(d));
        if (kn == nullptr || kn->has(kDisabled)) {
            if (armed == Mode::level) unwanted |= bit(d);
            continue;
        }
        repeated = repeated || (kn->has(kQueued) && kn->pass == kq.pass());
        kn->ready = wakeup.ready;
        kn->pass = kq.pass();
        kq.set_backed(*kn, armed == Mode::level);
        kq.activate(*kn);
    }
    if (unwanted != 0) (void)tell_or_forget(kq, fd, *watch, unwanted);
    return repeated;
}

void forget(Kqueue& kq, int fd) {
    FdWatch* watch = kq.watches().find(static_cast<size_t>(fd));
    if (watch == nullptr) return;
    trace_forget(kq.descriptor(), fd);
    (void)kq.backend().watch_file(fd, 0, handle_of(fd, *watch), watch->facts);
    while (Knote* kn = watch->notes) {
        unlink(*watch, *kn);
        kq.free_detached(*kn);
    }
    reset(*watch);
}

}  // namespace kq::fd_watch
