// Changes of files: one inotify instance for a kqueue, however many watches
// (a user has 128 instances in all). Used by Backend only; its lock.
//
// Watches are made through /proc/self/fd/N: the file is never opened, since
// closing it again would drop the POSIX locks that the program holds on it, and
// unlinked files can be watched.
//
// The kernel has one watch for an inode and gives it a number; descriptors of one
// inode share it. An Entry is one descriptor's share: the kernel's mask is the union
// of theirs, and what it reports is sifted through each. The kernel says nothing when
// a directory that is open is removed, so where that is wanted a second entry watches
// the directory that holds it, again without opening it: /proc/self/fd/N/.. .
#ifndef KQ_LINUX_VNODES_H
#define KQ_LINUX_VNODES_H

#include <stdint.h>
#include <sys/types.h>

#include "hash_index.h"
#include "list.h"
#include "platform.h"

struct inotify_event;

namespace kq {

class VnodeWatch {
  public:
    using Tell = void (*)(void* context, Handle handle, uint32_t changes);

    VnodeWatch() = default;
    ~VnodeWatch() { close(); }
    VnodeWatch(const VnodeWatch&) = delete;
    VnodeWatch& operator=(const VnodeWatch&) = delete;

    // Makes the inotify instance: too_many_open at the limit of the user.
    Errno open();
    // Of open(), and of watching a file: whoever may not read it may not watch it, a sandbox may
    // deny it all. Files can be looked at nevertheless.
    static bool is_refusal(Errno error) {
        return error == Errno::access_denied || error == Errno::not_permitted ||
               error == Errno::unimplemented;
    }
    // The inotify descriptor, readable when there is something to take(); -1
    // before open().
    [[nodiscard]] int descriptor() const { return inotify_; }

    // As Backend::watch_file(). After open(), or with nothing wanted.
    Errno set(int fd, uint32_t wanted, Handle handle, FdFacts& facts);

    // As Backend::take_files(). All that is there, but for endless streams.
    void take(Tell tell, void* context);

    void close();
    void abandon_in_child();

  private:
    enum class Role : uint8_t { self, parent };
    struct Entry : Link {  // the link: entries that have something to be told
        Entry* chain = nullptr;
        Handle handle;
        int32_t wd = -1;
        int fd = -1;
        uint32_t mask = 0;  // IN_ bits
        uint32_t told = 0;  // FileChange bits, not yet told
        Role role = Role::self;
        [[nodiscard]] uint64_t hash_key() const { return static_cast<uint32_t>(wd); }
    };
    struct Batch;

    [[nodiscard]] Entry* first(int32_t wd) const;
    [[nodiscard]] Entry* find(int32_t wd, Handle handle, Role role) const;
    [[nodiscard]] uint32_t union_of(int32_t wd) const;
    Errno set_one(int fd, Role role, uint32_t mask, Handle handle, int32_t& wd, bool& shared);
    Errno change(Entry& entry, int fd, uint32_t mask);
    void drop(Entry& entry);
    void settle(int32_t wd);
    void remove(int32_t wd);
    void read_batch(Batch& batch) const;
    void sort(const Batch& batch);
    void note(Entry& entry, uint32_t changes);

    int inotify_ = -1;
    HashIndex<Entry> entries_;
    List<Entry> untold_;    // what take() still has to tell
    bool removed_ = false;  // a watch, which the kernel confirms by an event
};

}  // namespace kq

#endif
