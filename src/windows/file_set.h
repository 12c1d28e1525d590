// SPDX-License-Identifier: BSD-2-Clause
// FileSet: the files and directories that one kqueue watches.
//
// The system reports what happens in directories. So the directory that holds a file is watched,
// with a handle for each directory, and what is reported for the name of the file counts as
// reported for the file. A directory that is wanted itself is watched as well. The core finds out
// by comparing what has changed. A system may report a write only when the file is closed, and does
// not report what is done by other names of the file. So all files are also looked at, every
// kPeriod, and are reported if they have changed.
//
// Used by Backend only; the kqueue's mutex.
#ifndef KQ_WINDOWS_FILE_SET_H
#define KQ_WINDOWS_FILE_SET_H

#include "directory.h"
#include "platform_types.h"
#include "slot_table.h"

namespace kq {

class FileSet {
  public:
    using Tell = void (*)(void* context, Handle handle, uint32_t changes);
    static constexpr Nanos kPeriod = 100 * kMillisecond;

    FileSet() = default;
    ~FileSet() = default;
    FileSet(const FileSet&) = delete;
    FileSet& operator=(const FileSet&) = delete;

    // Packets with this key go to on_packet().
    void open(void* port, uintptr_t key) {
        port_ = port;
        key_ = key;
    }
    // Drops all files. Once, at the end. The packets of outstanding requests must be taken until
    // is_quiet().
    void close();
    // Whether the system has no request of this set any more.
    [[nodiscard]] bool is_quiet() const { return directories_.empty(); }

    // As Backend::watch_file(), Backend::take_files().
    Errno set(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take(Tell tell, void* context);

    // A packet has come.
    void on_packet(void* object, uintptr_t bytes, long status);
    // Looks at all files if it is time.
    void look(Nanos t);
    // The time of the next look; kForever: there is nothing to look at.
    [[nodiscard]] Nanos next_look() const { return count_ == 0 ? kForever : look_at_; }
    // Whether there is something to take().
    [[nodiscard]] bool has_news() const { return !news_.empty(); }

  private:
    struct File;
    struct Place : Link {  // a file, in the directory that holds it, or in the directory that it is
        File* file = nullptr;
        Directory* directory = nullptr;
    };

    [[nodiscard]] File* find(int fd) const;
    Errno make_file(int fd, Handle handle, FdFacts& facts);
    Errno watch(const wchar_t* path, Place& place);
    void leave(Place& place);
    void find_home(File& file);
    void drop(File& file);
    void note(File& file, uint32_t changes);
    void tell_of(Directory& directory, Directory::Records& records);
    void tell_all(Directory& directory);
    static uint32_t look_at(File& file, uint32_t told);

    void* port_ = nullptr;
    uintptr_t key_ = 0;
    SlotTable<File*> by_number_;
    List<Directory> directories_;
    List<File> news_;  // files with news that the core does not know yet
    size_t count_ = 0;
    Nanos look_at_ = 0;
};

}  // namespace kq

#endif
