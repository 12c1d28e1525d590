// Changes of files: one inotify instance for a kqueue, however many watches
// (a user has 128 instances in all). Used by Backend only; its lock.
//
// Watches are made through /proc/self/fd/N: the file is never opened, since
// closing it again would drop the POSIX locks that the program holds on it, and
// unlinked files can be watched.
#ifndef KQ_LINUX_VNODES_H
#define KQ_LINUX_VNODES_H

#include <stdint.h>

#include "handle.h"
#include "hash_index.h"
#include "result.h"

namespace kq {

class VnodeWatch {
  public:
    VnodeWatch() = default;
    ~VnodeWatch() { close(); }
    VnodeWatch(const VnodeWatch&) = delete;
    VnodeWatch& operator=(const VnodeWatch&) = delete;

    // Makes the inotify instance: too_many_open at the limit of the user.
    Errno open();
    // The inotify descriptor, readable when there is something to take(); -1
    // before open().
    [[nodiscard]] int descriptor() const { return inotify_; }

    // Watches the contents of the file open as fd, for `handle`; `cookie` is to
    // be given to unwatch(). After open(). Fails if /proc is not there, at the limits of the
    // user, or without memory.
    Errno watch(int fd, Handle handle, int32_t& cookie);
    void unwatch(Handle handle, int32_t cookie);

    // Calls tell(context, handle) for each watch whose file changed since.
    void take(void (*tell)(void*, Handle), void* context);

    void close();
    void abandon_in_child();

  private:
    // Descriptors of one inode share the kernel's watch: several entries then
    // have one number.
    struct Entry {
        Entry* chain = nullptr;
        int32_t wd = -1;
        Handle handle;
        [[nodiscard]] uint64_t hash_key() const { return static_cast<uint32_t>(wd); }
    };
    [[nodiscard]] Entry* find(int32_t wd) const;
    void tell_all(void (*tell)(void*, Handle), void* context);
    void tell_one(int32_t wd, void (*tell)(void*, Handle), void* context);

    int inotify_ = -1;
    HashIndex<Entry> entries_;
};

}  // namespace kq

#endif
