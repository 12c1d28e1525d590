// SPDX-License-Identifier: BSD-2-Clause
// Changes of files, for one kqueue. Used by Backend only, under its lock.
//
// A kqueue has an inotify instance of its own (inotify.h) for all its watches, so an event wakes no
// other kqueue. A user has 128 instances in all (fs.inotify.max_user_instances). When there are no
// more the kqueue joins the shared one of the process. That is the instance of the first kqueue,
// which is kept as long as any kqueue watches files. Its descriptor is in the epoll sets of all its
// members, and an event wakes all of them. The thread that reads the event puts it on the lists of
// the members it concerns, and rings them, because the descriptor is no longer readable.
//
// Locks, beside the Backend's: the mutex of the instance guards the lists; one mutex of this file
// guards the choice of the shared instance, and is taken first. No other lock is taken under them.
#ifndef KQ_LINUX_VNODES_H
#define KQ_LINUX_VNODES_H

#include <stdint.h>

#include <atomic>

#include "inotify.h"
#include "list.h"
#include "platform.h"

namespace kq {

class VnodeWatch {
  public:
    using Tell = void (*)(void* context, Handle handle, uint32_t changes);

    VnodeWatch() = default;
    ~VnodeWatch() { close(); }
    VnodeWatch(const VnodeWatch&) = delete;
    VnodeWatch& operator=(const VnodeWatch&) = delete;

    // Makes an inotify instance, or joins the shared one. Other members will ring the queue of this
    // tag, by `number` at that time. too_many_open: there is no shared one to join, either.
    Errno open(const std::atomic<int>& number, uint32_t tag);
    // Errors of open(), and of watching a file: a process that may not read a file may not watch
    // it, and a sandbox may deny inotify. Such files can still be looked at.
    static bool is_refusal(Errno error) {
        return error == Errno::access_denied || error == Errno::not_permitted ||
               error == Errno::unimplemented;
    }
    // The inotify descriptor; -1 before open(). It is readable when this kqueue, or another member,
    // has something to take().
    [[nodiscard]] int descriptor() const {
        return inotify_ == nullptr ? -1 : inotify_->descriptor();
    }

    // As Backend::watch_file(). Only after open(), or with nothing wanted.
    Errno set(int fd, uint32_t wanted, Handle handle, FdFacts& facts);

    // As Backend::take_files(). Takes all there is, except endless streams.
    void take(Tell tell, void* context) { take_all(tell, context, true); }

    // As Backend::take_write() and take_rest_of_files().
    bool take_write(Handle& handle);
    void take_rest(Tell tell, void* context) { take_all(tell, context, false); }

    // As Backend::files_told(): another member has read events of ours.
    bool was_rung() { return rung_.load() && rung_.exchange(false); }
    // The queue has another number now: a ring may have gone to the old number.
    void ring_again();

    void close();
    // An epoll set that outlived its kqueue still has the shared instance in it: takes that out.
    static void leave(int epoll);

    void abandon_in_child();
    // As the functions of Backend.
    static void lock_before_fork();
    static void unlock_after_fork(bool in_child);
    static void forget_shared();

    // ---- for Inotify: under its mutex ----

    // An entry of ours has something to tell. If we are not the reader, this rings us.
    void add_untold(Inotify::Entry& entry, const VnodeWatch& reader);

  private:
    void take_all(Tell tell, void* context, bool reads);
    uint32_t next_untold(Handle& handle);
    void ring();

    Inotify* inotify_ = nullptr;     // ours alone, or the shared one
    List<Inotify::Entry> untold_;    // what take() still has to tell
    std::atomic<bool> rung_{false};  // by another member
    const std::atomic<int>* number_ = nullptr;
    uint32_t tag_ = 0;
};

}  // namespace kq

#endif
