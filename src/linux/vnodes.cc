// SPDX-License-Identifier: BSD-2-Clause
// Changes of files. See vnodes.h. Lock: that of the Backend that owns the VnodeWatch.
#include "vnodes.h"

#include <sched.h>
#include <sys/inotify.h>

#include <new>
#include <utility>

#include "alloc.h"
#include "anchors.h"
#include "epoll.h"
#include "sys.h"

namespace kq {
namespace {

// What the kernel is asked for, so that the wanted changes can be told.
uint32_t mask_for(uint32_t wanted, bool directory) {
    uint32_t mask = IN_DELETE_SELF;  // the kernel refuses to watch for nothing at all
    if ((wanted & kModified) != 0) mask |= IN_MODIFY;
    if ((wanted & kAttributes) != 0) mask |= IN_ATTRIB;
    if ((wanted & kMoved) != 0) mask |= IN_MOVE_SELF;
    // The last link of an open file goes with IN_ATTRIB. For a directory its parent tells of that,
    // and after a move it has another parent.
    if ((wanted & kRemoved) != 0) mask |= directory ? IN_MOVE_SELF : IN_ATTRIB;
    if ((wanted & (kEntryChanged | kSubdirectoryChanged)) != 0) mask |= IN_CREATE | IN_DELETE;
    if ((wanted & (kEntryMoved | kSubdirectoryMoved | kEntryRenamed)) != 0)
        mask |= IN_MOVED_FROM | IN_MOVED_TO;
    if ((wanted & kFileOpened) != 0) mask |= IN_OPEN;
    if ((wanted & kFileClosed) != 0) mask |= IN_CLOSE_NOWRITE;
    if ((wanted & kFileClosedWrite) != 0) mask |= IN_CLOSE_WRITE;
    if ((wanted & kFileRead) != 0) mask |= IN_ACCESS;
    return mask;
}

// ---- the shared instance ----

struct Shared {
    Mutex mutex;
    Inotify* inotify KQ_GUARDED_BY(mutex) = nullptr;  // not null while users is not 0
    int members KQ_GUARDED_BY(mutex) = 0;             // kqueues that use it
    int users KQ_GUARDED_BY(mutex) = 0;               // members, and those with their own
    bool held KQ_GUARDED_BY(mutex) = false;           // lock_before_fork() has both mutexes
};
constinit Shared shared;

bool is_limit(Errno error) {
    return error == Errno::too_many_open || error == Errno::too_many_open_in_system;
}

// A new instance.
Errno make_inotify(Inotify*& made) {
    Owned<Inotify> fresh = make<Inotify>();
    if (!fresh) return Errno::no_memory;
    const Errno error = fresh->open();
    if (error == Errno::ok) made = fresh.release();
    return error;
}

// The shared instance if no kqueue uses it, or null.
Inotify* idle_one() KQ_REQUIRES(shared.mutex) {
    if (shared.inotify == nullptr || shared.members > 0) return nullptr;
    if (shared.inotify->exists()) return shared.inotify;
    shared.inotify->forget_descriptor();  // the program has closed it
    Owned<Inotify>(std::exchange(shared.inotify, nullptr)).reset();
    return nullptr;
}

}  // namespace

Errno VnodeWatch::open(const std::atomic<int>& number, uint32_t tag) {
    const Guard guard(shared.mutex);
    Inotify* chosen = idle_one();
    if (chosen == nullptr) {
        const Errno error = make_inotify(chosen);
        if (is_limit(error) && shared.inotify != nullptr && shared.inotify->exists())
            chosen = shared.inotify;
        else if (error != Errno::ok)
            return error;
    }
    if (shared.inotify == nullptr) shared.inotify = chosen;
    if (chosen == shared.inotify) shared.members++;
    shared.users++;
    inotify_ = chosen;
    number_ = &number;
    tag_ = tag;
    return Errno::ok;
}

void VnodeWatch::close() {
    Inotify* inotify = std::exchange(inotify_, nullptr);
    if (inotify == nullptr || inotify->abandoned()) return;
    const Guard guard(shared.mutex);
    if (inotify == shared.inotify) {
        const Guard inner(inotify->mutex());
        inotify->drop_all(*this);
        shared.members--;
    } else {
        Owned<Inotify>(inotify).reset();
    }
    if (--shared.users == 0) Owned<Inotify>(std::exchange(shared.inotify, nullptr)).reset();
}

void VnodeWatch::leave(int epoll) {
    const Guard guard(shared.mutex);
    if (shared.inotify == nullptr) return;
    (void)epoll::control(epoll, EPOLL_CTL_DEL, shared.inotify->descriptor(), 0, Handle{});
}

// ---- what is watched ----

Errno VnodeWatch::set(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    if (inotify_ == nullptr || inotify_->abandoned()) {
        facts.file_watch = facts.parent_watch = 0;
        return Errno::ok;
    }
    using Role = Inotify::Role;
    const Guard guard(inotify_->mutex());
    const bool directory = facts.kind == FdKind::directory;
    const uint32_t mask = wanted == 0 ? 0 : mask_for(wanted, directory);
    const uint32_t above = directory && (wanted & kRemoved) != 0 ? IN_DELETE | IN_MOVED_TO : 0;
    bool earlier = false;
    Errno error = inotify_->set(*this, fd, Role::self, mask, handle, facts.file_watch, earlier);
    facts.file_shared = earlier;
    const bool refused = is_refusal(error);
    facts.file_untold = refused || facts.file_silent;
    if (refused) error = Errno::ok;
    if (error != Errno::ok) return error;
    int32_t& parent = facts.parent_watch;
    if (inotify_->set(*this, fd, Role::parent, above, handle, parent, earlier) != Errno::ok) {
        (void)inotify_->set(*this, fd, Role::parent, 0, handle, parent,
                            earlier);  // the watch of another place
        facts.file_untold = true;
    }
    if (parent != 0 && facts.file_watch != 0)
        inotify_->pair(*this, handle, facts.file_watch, parent);
    return Errno::ok;
}

// ---- what happens ----

void VnodeWatch::add_untold(Inotify::Entry& entry, const VnodeWatch& reader) {
    const bool news = untold_.empty();
    untold_.push_back(&entry);
    if (news && this != &reader) ring();
}

// Called after its list was filled, so a thread that hears the ring finds something.
void VnodeWatch::ring() {
    rung_.store(true);
    (void)anchors::ring(number_->load(), tag_);
}

void VnodeWatch::ring_again() {
    if (rung_.load()) ring();
}

// The changes of the first descriptor on the list: those that its own watch has reported, and those
// of its parent's. Only both together say what happened.
uint32_t VnodeWatch::next_untold(Handle& handle) {
    Inotify::Entry& entry = *untold_.front();
    entry.unlink();
    handle = entry.handle;
    uint32_t changes = std::exchange(entry.told, 0);
    if (entry.other != nullptr && entry.other->linked()) {
        entry.other->unlink();
        changes |= std::exchange(entry.other->told, 0);
    }
    return changes;
}

bool VnodeWatch::take_write(Handle& handle) {
    if (inotify_ == nullptr || inotify_->abandoned()) return false;
    const Guard guard(inotify_->mutex());
    if (!untold_.empty()) {  // older events, which another member has read
        inotify_->read_all(*this);
        return false;
    }
    const Inotify::Entry* entry = inotify_->read_write(*this);
    if (entry == nullptr) return false;
    handle = entry->handle;
    return true;
}

// `reads`: this call has to read first. False: take_write() has just read.
void VnodeWatch::take_all(Tell tell, void* context, bool reads) {
    constexpr int kMostRounds = 256;
    if (inotify_ == nullptr || inotify_->abandoned()) return;
    Inotify& inotify = *inotify_;
    inotify.mutex().lock();
    for (int i = 0; i < kMostRounds; i++) {
        if (reads || i > 0) inotify.read_all(*this);
        // First all events are read, then the entries are told one by one: tell() may change and
        // drop this entry and others.
        while (!untold_.empty()) {
            Handle handle;
            const uint32_t changes = next_untold(handle);
            inotify.mutex().unlock();
            tell(context, handle, changes);
            inotify.mutex().lock();
        }
        // A watch that was dropped by tell() leaves IN_IGNORED behind, which must wake no thread.
        if (!inotify.has_removed()) break;
    }
    inotify.mutex().unlock();
}

// ---- fork ----

// The shared instance does not belong to one kqueue, so locking all kqueues does not lock it. A
// thread that is destroying a kqueue may hold its mutex, but not for long. This thread itself may
// hold it, if a signal handler forks inside of a call. Then the child cannot use the instance.
void VnodeWatch::lock_before_fork() KQ_NO_ANALYSIS {
    constexpr int kPatience = 100'000;
    const auto lock = [](Mutex& mutex) KQ_NO_ANALYSIS {
        for (int i = 0; i < kPatience; i++) {
            if (mutex.try_lock()) return true;
            (void)sched_yield();
        }
        return false;
    };
    if (!lock(shared.mutex)) return;
    shared.held = shared.inotify == nullptr || lock(shared.inotify->mutex());
    if (!shared.held) shared.mutex.unlock();
}

void VnodeWatch::unlock_after_fork(bool in_child) KQ_NO_ANALYSIS {
    if (std::exchange(shared.held, false)) {
        if (shared.inotify != nullptr) shared.inotify->mutex().unlock();
        shared.mutex.unlock();
        return;
    }
    if (!in_child) return;
    if (shared.inotify != nullptr) shared.inotify->abandon();
    ::new (&shared.mutex) Mutex;
}

void VnodeWatch::abandon_in_child() {
    if (inotify_ != nullptr) inotify_->close_in_child();
}

// The rest belongs to kqueues that the child could not destroy.
void VnodeWatch::forget_shared() {
    ::new (&shared) Shared;
}

}  // namespace kq
