// SPDX-License-Identifier: BSD-2-Clause
// Counting signals and telling kqueues of them. See signal_hub.h.
#include "signal_hub.h"

#include <new>

#include "backend.h"
#include "mutex.h"

namespace kq::signal_hub {
namespace {

constinit SharedMutex mutex;
int watchers[kLastSignal + 1] KQ_GUARDED_BY(mutex) = {};  // mailboxes, by number
constinit std::atomic<uint64_t> totals[kLastSignal + 1] = {};

void abandon() KQ_NO_ANALYSIS {
    signals::abandon_in_child();
    for (int& count : watchers)
        count = 0;
}

}  // namespace

Errno watch(int number, Mailbox& mailbox, uint64_t& seen) {
    const Guard guard(mutex);
    const Errno error = signals::start(number);
    if (error != Errno::ok) return error;
    watchers[number]++;
    // Signals that are pending came before, and are no news to this mailbox.
    (void)signals::look_at_pending();
    seen = totals[number].load();
    mailbox.signals.fetch_or(bit_of(number));
    return Errno::ok;
}

void unwatch(int number, Mailbox& mailbox) {
    const Guard guard(mutex);
    const uint64_t watched = mailbox.signals.fetch_and(~bit_of(number));
    mailbox.muted.fetch_and(~bit_of(number));
    // In a forked child, where a kqueue of the parent is destroyed: it has a new mailbox, or the
    // count is 0.
    if ((watched & bit_of(number)) == 0) return;
    if (watchers[number] == 0 || --watchers[number] > 0) return;
    signals::stop(number);
}

void mute(int number, Mailbox& mailbox, bool muted) {
    if (muted)
        mailbox.muted.fetch_or(bit_of(number));
    else
        mailbox.muted.fetch_and(~bit_of(number));
}

uint64_t total(int number) {
    return totals[number].load();
}

bool refresh(uint64_t set) {
    if (set == 0) return false;
    const Guard guard(mutex);
    return signals::refresh(set);
}

bool mend(uint64_t set) {
    if (set == 0) return false;
    const Guard guard(mutex);
    const bool changed = signals::refresh(set);
    return signals::look_at_pending() || changed;
}

void look_at_pending() {
    const Guard guard(mutex);
    (void)signals::look_at_pending();
}

bool are_left() {
    return signals::are_left();
}

bool withdraw(Nanos& wait) {
    if (!signals::are_left()) return false;
    const Guard guard(mutex);
    return signals::withdraw(wait);
}

void put_back() {
    const Guard guard(mutex);
    signals::put_back();
}

bool arrived(int number) {
    // Counted before any kqueue is told to look at the count.
    totals[number].fetch_add(1);
    bool heard = false;
    mailbox::for_each([number, &heard](const Mailbox& box) {
        if ((box.signals.load() & bit_of(number)) == 0) return;
        const int queue = box.descriptor.load();
        const bool muted = (box.muted.load() & bit_of(number)) != 0;
        if (muted ? Backend::is_queue(queue) : post_to<Backend>(queue, box.tag.load()) == Errno::ok)
            heard = true;
    });
    return heard;
}

bool is_heard(int number) {
    bool heard = false;
    mailbox::for_each([number, &heard](const Mailbox& box) {
        if ((box.signals.load() & bit_of(number)) != 0)
            heard = heard || Backend::is_queue(box.descriptor.load());
    });
    return heard;
}

bool try_refresh(uint64_t set) {
    if (!mutex.try_lock()) return false;
    (void)signals::refresh(set);
    mutex.unlock();
    return true;
}

// ---- around fork(): the lock is held, so that the child finds complete data ----

void before_fork() KQ_NO_ANALYSIS {
    mutex.lock();
}

void after_fork_in_parent() KQ_NO_ANALYSIS {
    mutex.unlock();
}

void after_fork_in_child(bool clean) KQ_NO_ANALYSIS {
    if (clean) abandon();
    mutex.unlock();
}

void begin_anew_in_copy() KQ_NO_ANALYSIS {
    ::new (&mutex) SharedMutex;
    abandon();
}

}  // namespace kq::signal_hub
