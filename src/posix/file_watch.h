// Files of one kqueue, looked at with fstat() now and then: POSIX tells of no changes.
//
// The core is told that something changed (kUnknown), and compares for itself. Few files
// are looked at in each kevent() call; all of them every interval, while a thread sleeps
// or a call finds it is time. What looking takes is kept below a twentieth of the time.
//
// Used by Backend only; the kqueue's mutex.
#ifndef KQ_POSIX_FILE_WATCH_H
#define KQ_POSIX_FILE_WATCH_H

#include "platform.h"

namespace kq {

class FileWatch {
  public:
    using Tell = void (*)(void* context, Handle handle, uint32_t changes);

    FileWatch() = default;
    FileWatch(const FileWatch&) = delete;
    FileWatch& operator=(const FileWatch&) = delete;
    ~FileWatch();

    // As Backend::watch_file(), Backend::take_files().
    Errno set(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take(Tell tell, void* context);

    // Looks, at all if it is time, else at a few if `early`. True if there is something to take().
    bool look(Nanos t, bool early);
    // When to look again while nothing else happens.
    [[nodiscard]] Nanos next_look() const { return used_ == 0 ? kForever : look_at_; }

  private:
    struct Entry {
        int fd;  // -1: unused, `next` is the next such entry, plus 1
        int32_t next;
        Handle handle;
        uint32_t identity;
        uint32_t changes;  // not told yet
        Nanos read;        // when it was read last
        FileState state;
    };

    static uint32_t look_at(Entry& entry);
    int32_t take_entry();

    Entry* entries_ = nullptr;
    size_t count_ = 0;
    size_t capacity_ = 0;
    int32_t unused_ = 0;  // the first one, plus 1
    size_t used_ = 0;
    size_t turn_ = 0;     // the entry to be looked at next
    size_t changed_ = 0;  // that were not told
    Nanos look_at_ = 0;   // when all are
};

}  // namespace kq

#endif
