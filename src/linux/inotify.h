// SPDX-License-Identifier: BSD-2-Clause
// One inotify instance, and what is watched through it: for one kqueue, or for several that share
// it (vnodes.h says when). Used by VnodeWatch only.
//
// Watches are made through /proc/self/fd/N. So unlinked files can be watched, and no file is
// opened: closing it again would drop the POSIX locks that the program holds on it.
//
// The kernel has one watch for an inode and gives it a number. All descriptors of one inode share
// that watch, and an Entry is the share of one descriptor. The kernel's mask is the union of the
// entries' masks, and each entry sifts what the kernel reports. The kernel says nothing when an
// open directory is removed. So where that is wanted, a second entry watches the directory that
// holds it, again without opening it: /proc/self/fd/N/.. .
//
// Lock: mutex(). It is taken with the mutex of a kqueue held, and no other is taken under it. All
// functions are called with it held, except those that say otherwise.
#ifndef KQ_LINUX_INOTIFY_H
#define KQ_LINUX_INOTIFY_H

#include <stdint.h>
#include <sys/types.h>

#include "hash_index.h"
#include "list.h"
#include "mutex.h"
#include "platform.h"

struct inotify_event;

namespace kq {

class VnodeWatch;

class Inotify {
  public:
    enum class Role : uint8_t { self, parent };
    struct Entry : Link {  // the link: on its owner's list of what must be told
        Entry* chain = nullptr;
        VnodeWatch* owner = nullptr;
        Entry* other = nullptr;  // the entry of the same descriptor in the other role, or null
        Handle handle;
        int32_t wd = -1;
        int fd = -1;
        uint32_t mask = 0;  // IN_ bits
        uint32_t told = 0;  // FileChange bits that were not told yet
        Role role = Role::self;
        bool ended = false;  // the kernel has removed the watch
        [[nodiscard]] uint64_t hash_key() const { return static_cast<uint32_t>(wd); }
    };

    Inotify() = default;
    ~Inotify();
    Inotify(const Inotify&) = delete;
    Inotify& operator=(const Inotify&) = delete;

    Mutex& mutex() KQ_RETURN_CAPABILITY(mutex_) { return mutex_; }

    // Makes the instance, before any other thread knows this object. EMFILE: the limit of the user,
    // or of the process, is reached.
    Errno open();
    // The number never changes after open(), except in a forked child; no lock.
    [[nodiscard]] int descriptor() const { return inotify_; }
    // Whether that number still is an inotify instance: the program may have closed it. No lock.
    [[nodiscard]] bool exists() const;

    // The number is no longer ours. No lock.
    void forget_descriptor() { inotify_ = -1; }
    // In a forked child: closes the child's copy. No lock.
    void close_in_child();
    // In a forked child, if a thread of the parent holds the lock: from now on this object is never
    // locked, and never freed.
    void abandon() { abandoned_ = true; }
    [[nodiscard]] bool abandoned() const { return abandoned_; }

    // Sets the IN_ bits that one descriptor of `owner` wants of a file, or of the directory that
    // holds it; 0: none, which never fails. `wd` is the watch it has now, 0: none. Sets `shared` if
    // events that are still to come may be older than this call.
    Errno set(VnodeWatch& owner, int fd, Role role, uint32_t mask, Handle handle, int32_t& wd,
              bool& shared) KQ_REQUIRES(mutex_);
    // Both entries of one descriptor exist: from now on their changes are reported together.
    void pair(const VnodeWatch& owner, Handle handle, int32_t self, int32_t parent)
        KQ_REQUIRES(mutex_);
    // Drops all entries of a kqueue that ends.
    void drop_all(const VnodeWatch& owner) KQ_REQUIRES(mutex_);

    // Reads all there is, except endless streams, and puts it on the lists of the owners of the
    // entries concerned. Rings the owners other than the reader.
    void read_all(const VnodeWatch& reader) KQ_REQUIRES(mutex_);
    // As read_all(), and returns null, except in the most frequent case: the only event is that one
    // file was written, and it concerns only one entry, which is the reader's. Then nothing is put
    // on a list, and the entry is returned.
    Entry* read_write(const VnodeWatch& reader) KQ_REQUIRES(mutex_);
    // Whether watches were removed since the last read. The kernel confirms each removal by an
    // event, which wakes all members.
    [[nodiscard]] bool has_removed() const KQ_REQUIRES(mutex_) { return removed_; }

  private:
    struct Half;
    struct Halves;

    [[nodiscard]] Entry* first(int32_t wd) const;
    [[nodiscard]] Entry* find(const VnodeWatch& owner, int32_t wd, Handle handle, Role role) const;
    [[nodiscard]] uint32_t union_of(int32_t wd) const;
    Errno change(Entry& entry, int fd, uint32_t mask);
    void drop(Entry& entry);
    void settle(int32_t wd);
    void remove(int32_t wd);
    Entry* written_entry(const inotify_event& event, const VnodeWatch& reader) const;
    Entry* read_one(Halves& halves, bool& more, const VnodeWatch& reader);
    bool read_some(Halves& halves, const VnodeWatch& reader);
    void read_rest(Halves& halves, bool more, const VnodeWatch& reader);
    bool sort_all(const char* bytes, ssize_t got, Halves& halves, const VnodeWatch& reader);
    void sort(const inotify_event& event, Halves& halves, const VnodeWatch& reader);
    uint32_t place_move(const inotify_event& event, Halves& halves, const VnodeWatch& reader);
    void tell_half(const Half& half, const VnodeWatch& reader);
    static void note(Entry& entry, uint32_t changes, const VnodeWatch& reader);
    static void end(Entry& entry, const VnodeWatch& reader);
    static uint32_t changes_itself(const inotify_event& event, const Entry& entry, uint32_t move,
                                   const Halves& halves);

    Mutex mutex_;
    int inotify_ = -1;
    HashIndex<Entry> entries_;
    bool removed_ = false;
    bool abandoned_ = false;
};

}  // namespace kq

#endif
