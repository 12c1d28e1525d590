// SPDX-License-Identifier: BSD-2-Clause
// Directory: one directory in which the system reports changes (ReadDirectoryChangesW). The answers
// are packets of a completion port. The system keeps what happens between two requests.
//
// No lock: a Directory is guarded by its FileSet.
#ifndef KQ_WINDOWS_DIRECTORY_H
#define KQ_WINDOWS_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "result.h"

namespace kq {

// A name in a directory, not ended by a zero.
struct FileName {
    const wchar_t* text = nullptr;
    size_t length = 0;

    [[nodiscard]] bool is_like(FileName other) const;  // as the system does: ignores case
    // Whether it may be the short form of another name.
    [[nodiscard]] bool may_be_short() const;
};

// The whole path of an open file, on the heap.
class FilePath {
  public:
    FilePath() = default;
    ~FilePath();
    FilePath(const FilePath&) = delete;
    FilePath& operator=(const FilePath&) = delete;

    // False: it has no path that can be found out, or memory is short.
    bool find(void* handle);
    [[nodiscard]] const wchar_t* text() const { return text_; }
    [[nodiscard]] FileName name() const { return {text_ + name_, length_ - name_}; }
    // Cuts the name off: the path of the directory that holds the file.
    void cut();

  private:
    wchar_t* text_ = nullptr;
    size_t length_ = 0;
    size_t name_ = 0;
};

class Directory : public Link {
  public:
    enum class What : uint8_t { added, removed, modified, renamed_from, renamed_to };

    // The records of one packet, one by one.
    class Records {
      public:
        explicit Records(const Directory& directory, size_t size)
            : at_(directory.buffer_), left_(size) {}
        bool next(What& what, FileName& name);

      private:
        const unsigned char* at_;
        size_t left_;
    };

    Directory() = default;
    ~Directory();
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    Errno open(const wchar_t* path);
    // The first request. Packets have this key.
    Errno start(void* port, uintptr_t key);
    // The directory to which a packet belongs.
    static Directory& of_packet(void* object) { return *static_cast<Request*>(object)->directory; }
    // The next request. Not while one is pending.
    Errno ask();
    // Closes the directory, so that the program can rename and remove it, and those above it. The
    // packet comes soon, and the memory has to stay until then. Once, while a request is pending.
    void close();

    // The packet has come: the memory may be used, and freed.
    void note_answered() { pending_ = false; }
    [[nodiscard]] bool is_pending() const { return pending_; }
    [[nodiscard]] uint32_t identity() const { return identity_; }

    List<Link> places;    // of the files that want to know; used by FileSet
    bool orphan = false;  // no file wants to know any more

  private:
    static constexpr size_t kSize = 8192;  // network drives take at most 64 KiB

    struct Request {
        alignas(8) unsigned char overlapped[32];
        Directory* directory;
    };

    Request request_{};
    alignas(8) unsigned char buffer_[kSize];
    void* handle_ = nullptr;
    uint32_t identity_ = 0;
    bool pending_ = false;
};

}  // namespace kq

#endif
