// Kqueue: life and death, the active queue, the promise of settle().
// Everything here runs under the kqueue's mutex unless it says otherwise.
#include "kqueue.h"

#include <utility>

#include "fd_watch.h"
#include "process_hub.h"

namespace kq {

uint32_t Kqueue::next_serial() {
    static constinit std::atomic<uint32_t> last{0};
    for (;;) {  // never 0, as a tag of 28 bits either
        const uint32_t serial = (last.fetch_add(1) + 1) & Handle::kGenerations;
        if (serial != 0) return serial;
    }
}

Errno Kqueue::open() {
    const Guard guard(mutex_);
    return backend_.open(serial_);
}

Errno Kqueue::adopt(int fd) {
    const Guard guard(mutex_);
    return backend_.adopt(fd, serial_);
}

void Kqueue::move_to(int fd) {
    const Guard guard(mutex_);
    backend_.move_to(fd);
    if (mailbox_ != nullptr) mailbox_->descriptor.store(fd);
}

void Kqueue::close_unpublished() {
    const Guard guard(mutex_);
    backend_.close_unpublished();
}

Kqueue::~Kqueue() {
    // Nobody else has a reference any more; the lock is for the annotations.
    const Guard guard(mutex_);
    index_.for_each([this](Knote* kn) KQ_NO_ANALYSIS { (void)drop(*kn); });
    watches_.for_each([this](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        if (watch.notes != nullptr) fd_watch::forget(*this, static_cast<int>(fd));
    });
    if (mailbox_ == nullptr) return;
    process_hub::forget(*mailbox_);
    mailbox::give_back(*mailbox_);
}

Result<int> Kqueue::run(const struct kevent* changes, int nchanges, struct kevent* events,
                        int nevents, const timespec* timeout, void (*cancelled)(void*)) {
    return in_one_call([&]() KQ_NO_ANALYSIS {
        bool stopped = false;
        Result<int> result = apply_changes(changes, nchanges, events, nevents, stopped);
        const bool scans = !stopped && nevents != 0;
        if (scans) result = scan(events, nevents, timeout, cancelled);
        settle(scans ? After::delivery : After::changes);
        return result;
    });
}

// What announce() left to be done without the mutex: who is woken would only wait for it.
// The knotes may have been taken off the queue meanwhile, and the ring be for nothing: whoever
// saw that says so, and then hears of it, or we do.
void Kqueue::ring_as_promised() {
    // Closed meanwhile, the number may be that of another kqueue.
    const bool rung = !dead_.load() && Backend::post(descriptor(), serial_) == Errno::ok;
    ringing_.fetch_sub(1);
    if (rung && !needless_.exchange(false)) return;
    const Guard guard(mutex_);
    if (!rung) rung_ = false;
    stray_ = true;
    settle(After::sleep);
}

int64_t Kqueue::count_pending(uint32_t& sequence) {
    if (!mutex_.try_lock()) return -1;
    (void)collect(INT16_MAX, false);
    const int64_t count = queued_;
    sequence = activations_;
    settle(After::counting);
    mutex_.unlock();
    return count;
}

// ---- index ----

Knote* Kqueue::find_indexed(int16_t filter, uintptr_t ident) {
    return index_.find(Knote::hash_key(filter, ident), [filter, ident](const Knote& kn) {
        return kn.ident == ident && kn.filter == filter;
    });
}

Errno Kqueue::index(Knote& kn) {
    if (!index_.reserve()) return Errno::no_memory;
    index_.insert(&kn);
    return Errno::ok;
}

void Kqueue::unindex(Knote& kn) {
    index_.remove(&kn);
}

Errno Kqueue::drop(Knote& kn) {
    const FilterOps* ops = find_filter(kn.filter);
    const Errno answer = ops->detach(*this, kn);
    free_detached(kn);
    return answer;
}

void Kqueue::free_detached(Knote& kn) {
    deactivate(kn);
    if (kn.has(kExtended)) forget_extension(kn);
    find_filter(kn.filter)->destroy(&kn);
    knotes_.fetch_sub(1);
}

Mailbox* Kqueue::mailbox() {
    if (mailbox_ == nullptr) mailbox_ = mailbox::take(descriptor(), serial_);
    return mailbox_;
}

// ---- the active queue ----

void Kqueue::activate(Knote& kn) {
    kn.set(kActive);
    if (kn.has(kParked)) {
        kn.unlink();
        kn.clear(kParked);
    }
    if (kn.has(kDisabled) || kn.has(kQueued)) return;
    activations_++;
    enqueue(kn);
}

void Kqueue::deactivate(Knote& kn) {
    kn.clear(kActive);
    if (kn.has(kQueued)) dequeue(kn);
    if (kn.has(kParked)) {
        kn.unlink();
        kn.clear(kParked);
    }
}

void Kqueue::enqueue(Knote& kn) {
    active_.push_back(&kn);
    kn.set(kQueued);
    queued_++;
    if (!kn.has(kBacked)) unbacked_++;
}

void Kqueue::dequeue(Knote& kn) {
    kn.unlink();
    kn.clear(kQueued);
    queued_--;
    if (!kn.has(kBacked)) unbacked_--;
}

void Kqueue::set_backed(Knote& kn, bool backed) {
    if (kn.has(kBacked) == backed) return;
    if (backed)
        kn.set(kBacked);
    else
        kn.clear(kBacked);
    if (kn.has(kQueued)) unbacked_ += backed ? -1 : 1;
}

void Kqueue::park(Knote& kn, Parking where) {
    KQ_CHECK(!kn.has(kQueued) && !kn.has(kParked));
    kn.set(kParked);
    if (where == Parking::idle) {
        idle_.push_back(&kn);
        return;
    }
    recheck_.push_back(&kn);
    // What cannot have a deadline (short of descriptors) is still looked at before each sleep.
    if (recheck_at_ == kForever && backend_.prepare_clock(Clock::monotonic) == Errno::ok)
        recheck_at_ = saturating_add(now(Clock::monotonic), kRecheckPeriod);
}

// ---- settle ----

void Kqueue::settle(After what) {
    KQ_CHECK(queued_ >= unbacked_ && unbacked_ >= 0);
    if (unbacked_ > 0 || rung_ || held_ || stray_) announce(what);
    // After that: it may collect, and so hear of a deadline that then has to be set anew.
    Nanos monotonic = timers_.earliest(Clock::monotonic);
    if (recheck_at_ < monotonic) monotonic = recheck_at_;
    backend_.set_deadline(Clock::monotonic, monotonic);
    backend_.set_deadline(Clock::realtime, timers_.earliest(Clock::realtime));
}

// Makes the public descriptor readable exactly while something is queued that
// the kernel does not know of.
//
// New activations ring: sleepers and kqueues that watch this one by EV_CLEAR
// must be told of each. What is merely left over, or was found by counting for
// a watching kqueue, is held: a ring for it would wake that one for nothing,
// again and again. Fails only when the number is not our queue any more, which
// run() finds out by itself.
void Kqueue::announce(After what) {
    // Rung for what was taken back meanwhile: hear it ourselves.
    if ((rung_ || stray_) && unbacked_ == 0) {
        stray_ = false;
        if (ringing_.load() > 0) needless_.store(true);
        // In this order: a ring that is done just now is heard here, or by him who does it.
        (void)collect(1, false);
    }
    const bool pending = unbacked_ > 0;
    const bool news = activations_ != announced_;
    announced_ = activations_;
    // A promise of another thread may take its time. Its ring is one too many then.
    const bool late = ringing_.load() > 0;
    if (pending && ((news && !rung_) || late) && what != After::counting) {
        if (late) needless_.store(true);
        promised_ = what != After::sleep && !late && !single_threaded();
        if (promised_) ringing_.fetch_add(1);
        rung_ = promised_ || backend_.announce(Announce::ring) == Errno::ok;
    }
    if (tick_ - renewed_ >= kLinger) lingers_ = false;
    const bool hold = (pending && !rung_) || lingers_;
    if (hold != held_ && backend_.announce(hold ? Announce::hold : Announce::release) == Errno::ok)
        held_ = hold;
}

}  // namespace kq
