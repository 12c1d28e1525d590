// SPDX-License-Identifier: BSD-2-Clause
// Each test of EVFILT_VNODE has a directory of its own. Operations on the files there, by name.
#ifndef KQTEST_TREE_H
#define KQTEST_TREE_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/kq.h"

namespace kqtest {

// Removed at the end with all that is in it.
class Tree {
  public:
    Tree() {
        const char* directory = std::getenv("TMPDIR");
        root_ = std::string(directory && *directory ? directory : "/tmp") + "/kqtree.XXXXXX";
        EXPECT_NE(::mkdtemp(root_.data()), nullptr);
    }
    Tree(const Tree&) = delete;
    ~Tree() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }

    std::string path(const std::string& name) const { return root_ + "/" + name; }
    const std::string& root() const { return root_; }

    // A file, made if needed, open for reading and writing.
    Fd file(const std::string& name, std::string_view content = {}) const {
        Fd fd{::open(path(name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644)};
        EXPECT_TRUE(bool(fd)) << name;
        write_bytes(*fd, content);
        return fd;
    }
    // A directory, made if needed, open.
    Fd directory(const std::string& name) const {
        (void)::mkdir(path(name).c_str(), 0755);
        return open_file(path(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    void make(const std::string& name) const { file(name).reset(); }
    void mkdir(const std::string& name) const { EXPECT_EQ(::mkdir(path(name).c_str(), 0755), 0); }
    void rmdir(const std::string& name) const { EXPECT_EQ(::rmdir(path(name).c_str()), 0); }
    void unlink(const std::string& name) const { EXPECT_EQ(::unlink(path(name).c_str()), 0); }
    void rename(const std::string& from, const std::string& to) const {
        EXPECT_EQ(::rename(path(from).c_str(), path(to).c_str()), 0);
    }
    void link(const std::string& from, const std::string& to) const {
        EXPECT_EQ(::link(path(from).c_str(), path(to).c_str()), 0);
    }
    // Both times to now, as touch(1).
    void touch(const std::string& name) const {
        EXPECT_EQ(::utimes(path(name).c_str(), nullptr), 0);
    }
    void chmod(const std::string& name, mode_t mode) const {
        EXPECT_EQ(::chmod(path(name).c_str(), mode), 0);
    }
    void append(const std::string& name, size_t bytes) const {
        write_bytes(*open_file(path(name), O_WRONLY | O_APPEND), bytes);
    }

  private:
    std::string root_;
};

// A tree and a kqueue.
class VnodeTest : public KqTest {
  protected:
    int add(const Fd& fd, unsigned notes, int flags = EV_CLEAR) const {
        return q.apply(change(*fd, EVFILT_VNODE, EV_ADD | flags, notes));
    }
    int apply(const Fd& fd, int flags, unsigned notes = 0) const {
        return q.apply(change(*fd, EVFILT_VNODE, flags, notes));
    }
    // The one event there is at once has exactly these bits.
    void expect(const Fd& fd, unsigned notes, int flags = EV_CLEAR,
                int line = __builtin_LINE()) const {
        expect_only(q.collect(), *fd, EVFILT_VNODE, EV_ADD | flags, notes, 0, nullptr, __FILE__,
                    line);
    }
    void expect_nothing(int line = __builtin_LINE()) const {
        expect_none(q.collect(), __FILE__, line);
    }
    // fflags of the one event there is at once; 0 if there is none.
    unsigned notes() const {
        const std::vector<Event> events = q.collect();
        EXPECT_LE(events.size(), 1u);
        return events.empty() ? 0 : events[0].fflags;
    }

    // What a new knote with this mask reports after `operation`, or 0.
    template <class Operation>
    unsigned reported(const Fd& fd, unsigned mask, Operation operation) const {
        EXPECT_EQ(add(fd, mask), 0);
        operation();
        const unsigned result = notes();
        EXPECT_EQ(apply(fd, EV_DELETE), 0);
        return result;
    }

    const Tree tree;
    Queue q;
};

// All bits that EVFILT_VNODE knows.
inline constexpr unsigned kAllNotes = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB |
                                      NOTE_LINK | NOTE_RENAME | NOTE_REVOKE | NOTE_TRUNCATE |
                                      NOTE_CLOSE | NOTE_CLOSE_WRITE | NOTE_READ | NOTE_OPEN;
// All except those that any look at a file causes.
inline constexpr unsigned kChanges = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB |
                                     NOTE_LINK | NOTE_RENAME | NOTE_REVOKE | NOTE_TRUNCATE;

}  // namespace kqtest

#endif
