// SPDX-License-Identifier: BSD-2-Clause
// The files of one kqueue. POSIX does not tell of changes, so they are looked at with fstat() now
// and then. Where a system tells of some files, note() takes that in, and these files are looked at
// only then.
//
// The core is told that something changed (kUnknown), and compares for itself. Each kevent() call
// looks at a few files. All are looked at once in an interval, while a thread sleeps or when a call
// finds that it is time. Looks take less than a twentieth of the time.
//
// Used by Backend only. Lock: the kqueue's mutex.
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

    // Looks at all files if it is time, else at a few if `early`. True if there is something to
    // take().
    bool look(Nanos t, bool early);
    // When to look again if nothing else happens.
    [[nodiscard]] Nanos next_look() const { return looked_at_ == 0 ? kForever : look_at_; }
    // Whether there is something to take().
    [[nodiscard]] bool has_news() const { return changed_ > 0; }

    // ---- for a system that tells of changes; `watch` is FdFacts::file_watch ----

    // Whether the system tells of this file from now on.
    void set_told(int32_t watch, bool told);
    // The system has told of these changes; others may be seen now. Looks at the file.
    void note(int32_t watch, uint32_t changes);
    // The file as of the last look; `read` is when it was read last.
    [[nodiscard]] const FileState& state(int32_t watch, Nanos& read) const;
    // Called by take() before it tells of a file.
    using Prepare = void (*)(void* context, int32_t watch);
    void set_prepare(Prepare prepare, void* context) {
        prepare_ = prepare;
        prepare_context_ = context;
    }

  private:
    struct Entry {
        int fd;  // -1: unused, `next` is the next such entry, plus 1
        int32_t next;
        Handle handle;
        uint32_t identity;
        uint32_t changes;  // not told yet
        bool told;         // the system tells of it
        Nanos read;        // when it was read last
        FileState state;
    };

    static uint32_t look_at(Entry& entry);
    int32_t take_entry();

    Entry* entries_ = nullptr;
    size_t count_ = 0;
    size_t capacity_ = 0;
    int32_t unused_ = 0;    // the first unused entry, plus 1
    size_t looked_at_ = 0;  // how many are in use, and not `told`
    size_t turn_ = 0;       // the entry to look at next
    size_t changed_ = 0;    // how many have changes that were not told
    Nanos look_at_ = 0;     // when to look at all
    Prepare prepare_ = nullptr;
    void* prepare_context_ = nullptr;
};

}  // namespace kq

#endif
