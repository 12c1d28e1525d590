// SPDX-License-Identifier: BSD-2-Clause
// A report that becomes an event at once: the kernel reports only that a file was written, or that
// signals came, and only one knote is concerned. Lock: the kqueue's mutex.
//
// These functions have the effect of dispatch() and deliver(). They are allowed while no knote is
// queued or parked: then the knote would be the first and the only one on the queue. The
// kernel had no other report, so no event is left out (2.3).
#include "fd_watch.h"
#include "filter_signal.h"
#include "kqueue.h"
#include "vnode.h"

namespace kq {

// As hand_out_rest(), if the kernel had exactly one report, and is_news() is true for that report.
Result<int> Kqueue::hand_out_news(Look& look, const Wakeup& news, struct kevent* events,
                                  int nevents) {
    News how = News::untaken;
    if (active_.has_none() && parked_.empty()) {
        how = take_news(news, *events);
        if (how == News::event) return 1;
    }
    return hand_out_queued(look, news, how, events, nevents);
}

// For a kqueue without queued or parked knotes. untaken: nothing was done.
KQ_INLINE Kqueue::News Kqueue::take_news(const Wakeup& news, struct kevent& event) {
    const uint64_t bits = news.handle.bits();
    // dispatch() finds out if a report has the tag of another queue. Such a report is not taken
    // here.
    const auto is = [this, bits](Handle::Kind kind) {
        return bits == Handle(kind, 0, serial_).bits() || bits == Handle(kind, 0, 0).bits();
    };
    if (is(Handle::Kind::files)) return take_write(event);
    if (is(Handle::Kind::announcement)) return take_signal(news, event);
    return News::untaken;
}

Kqueue::News Kqueue::take_write(struct kevent& event) {
    if constexpr (Backend::kHas.files && takes_writes<Backend>()) {
        Handle handle;
        if (!kq::take_write(backend_, handle)) {
            take_rest_of_files();
            return News::dispatched;
        }
        FdWatch* watch = fd_watch::find_watch(*this, handle);
        const vnode::Written written =
            watch == nullptr ? vnode::Written::other : vnode::take_write(*this, *watch, event);
        if (written == vnode::Written::event) {
            active_.note_activation();
            return News::event;
        }
        if (written == vnode::Written::other) {
            fd_watch::on_file_changed(*this, handle, kModified);
            // If a watch was dropped, the kernel reports that. The report is taken now, because it
            // must wake no thread.
            take_rest_of_files();
        }
        return News::dispatched;
    }
    return News::untaken;
}

// Whether other threads have left only signals in the mailbox. False if, since this report came, a
// thread has promised a ring or announced something, or if a thread has left a letter (see
// read_mailbox()).
bool Kqueue::only_signals_are_announced() const {
    return mailbox_ != nullptr && announcing_.is_silent() && !promised_.any() &&
           !mailbox_->queue_was_renewed.load(std::memory_order_relaxed) &&
           !mailbox_->has_subscribed.load(std::memory_order_relaxed);
}

// A ring while no knote is queued is most often for a signal. If other threads have announced
// something, dispatch() has to hear that.
Kqueue::News Kqueue::take_signal(const Wakeup& ring, struct kevent& event) {
    if (!only_signals_are_announced()) return News::untaken;
    if (take_told_files()) {
        dispatch(ring);
        return News::dispatched;
    }
    if (!take_only_signal(*this, event)) return News::untaken;
    active_.note_activation();
    return News::event;
}

}  // namespace kq
