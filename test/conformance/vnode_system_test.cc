// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE at the limits of the system: lost events, no /proc, no more watches, files that the
// process may not read, file systems that are unmounted.
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>

#include <fstream>

#include "support/gaps.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

class VnodeSystem : public VnodeTest {};

long setting(const char* name) {
    long value = 0;
    std::ifstream(std::string("/proc/sys/fs/inotify/") + name) >> value;
    return value;
}

// More events than the kernel keeps: what comes after them is lost.
class VnodeOverflow : public VnodeTest {
  protected:
    void flood() const {
        const long most = setting("max_queued_events");
        ASSERT_GT(most, 0);
        const int noise[] = {*noise_a_, *noise_b_};
        for (long i = 0; i <= most; i++)  // equal ones in a row would be one
            ASSERT_EQ(::pwrite(noise[i % 2], "x", 1, 0), 1);
    }
    void begin() {
        ASSERT_EQ(add(noise_a_, NOTE_WRITE), 0);
        ASSERT_EQ(add(noise_b_, NOTE_WRITE), 0);
    }
    // The events but those of the noise, by what they are about.
    std::map<int, unsigned> collect() const {
        std::map<int, unsigned> seen;
        for (const Event& event : q.collect(64))
            seen[static_cast<int>(event.ident)] = event.fflags;
        EXPECT_EQ(seen.erase(*noise_a_), 1u);
        EXPECT_EQ(seen.erase(*noise_b_), 1u);
        expect_none(q.collect());
        return seen;
    }

  private:
    const Fd noise_a_ = tree.file("noise_a");
    const Fd noise_b_ = tree.file("noise_b");
};

TEST_F(VnodeOverflow, ChangesOfFilesAreFoundByLooking) {
    const std::vector<std::string> names = {"idle",  "grown",  "written", "cut",
                                            "chmod", "linked", "removed", "renamed"};
    std::map<std::string, Fd> files;
    for (const std::string& name : names) {
        files[name] = tree.file(name, "content");
        ASSERT_EQ(add(files[name], kChanges), 0);
    }
    begin();
    flood();
    tree.append("grown", 1);
    ASSERT_EQ(::pwrite(*files["written"], "x", 1, 0), 1);
    ASSERT_EQ(::ftruncate(*files["cut"], 1), 0);
    tree.chmod("chmod", 0600);
    tree.link("linked", "link");
    tree.unlink("removed");
    tree.rename("renamed", "other");
    std::map<int, unsigned> seen = collect();
    const auto of = [&](const char* name) { return seen[*files[name]]; };
    EXPECT_EQ(of("idle"), 0u);
    EXPECT_EQ(of("grown") & (NOTE_WRITE | NOTE_EXTEND), 1u * NOTE_WRITE | NOTE_EXTEND);
    EXPECT_EQ(of("written") & NOTE_WRITE, 1u * NOTE_WRITE);
    EXPECT_EQ(of("cut") & NOTE_TRUNCATE, 1u * NOTE_TRUNCATE);
    EXPECT_EQ(of("chmod") & ~NOTE_LINK, 1u * NOTE_ATTRIB);
    EXPECT_EQ(of("linked") & NOTE_LINK, 1u * NOTE_LINK);
    EXPECT_EQ(of("removed") & (NOTE_DELETE | NOTE_RENAME), 1u * NOTE_DELETE);
    EXPECT_EQ(of("renamed") & NOTE_RENAME, 1u * NOTE_RENAME);
}

TEST_F(VnodeOverflow, AndOfDirectories) {
    const Fd idle = tree.directory("idle");
    const Fd filled = tree.directory("filled");
    const Fd linked = tree.directory("linked");
    const Fd removed = tree.directory("removed");
    for (const Fd* fd : {&idle, &filled, &linked, &removed})
        ASSERT_EQ(add(*fd, kChanges), 0);
    begin();
    flood();
    tree.make("filled/file");
    tree.mkdir("linked/sub");
    tree.rmdir("removed");
    std::map<int, unsigned> seen = collect();
    EXPECT_EQ(seen[*idle], 0u);
    EXPECT_EQ(seen[*filled] & (NOTE_WRITE | NOTE_EXTEND), 1u * NOTE_WRITE | NOTE_EXTEND);
    EXPECT_EQ(seen[*linked] & (NOTE_WRITE | NOTE_LINK), 1u * NOTE_WRITE | NOTE_LINK);
    EXPECT_EQ(seen[*removed] & NOTE_DELETE, 1u * NOTE_DELETE);
}

// What leaves no trace is assumed: too much rather than too little.
TEST_F(VnodeOverflow, OpensAndReadsAreAssumed) {
    const Fd file = tree.file("file");
    const unsigned uses = NOTE_OPEN | NOTE_READ | NOTE_CLOSE | NOTE_CLOSE_WRITE;
    ASSERT_EQ(add(file, uses), 0);
    begin();
    flood();
    EXPECT_EQ(collect()[*file], uses);
}

TEST_F(VnodeOverflow, ReadersOfFilesLookToo) {
    const Fd file = tree.file("file");
    ASSERT_EQ(q.apply(change(*file, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    expect_none(q.collect());
    begin();
    flood();
    tree.append("file", 3);
    for (const Event& event : q.collect(64))
        if (event.filter == EVFILT_READ) {
            EXPECT_EQ(event.data, 3);
            return;
        }
    FAIL() << "the reader was not told";
}

TEST_F(VnodeSystem, WithoutProcItIsRefused) {
    KQ_OF(linux);
    if (::getuid() != 0) GTEST_SKIP() << "needs root";
    const Fd file = tree.file("file");
    Child child([&] {
        if (::unshare(CLONE_NEWNS) != 0) return 77;
        if (::mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
        if (::umount2("/proc", MNT_DETACH) != 0) return 77;
        const Queue mine;
        for (int i = 0; i < 3; i++)
            if (mine.apply(change(*file, EVFILT_VNODE, EV_ADD, NOTE_WRITE)) != ENOTSUP) return 1;
        if (mine.apply(change(*file, EVFILT_VNODE, EV_DELETE)) != ENOENT) return 2;
        // A reader is looked at now and then instead.
        if (mine.apply(change(*file, EVFILT_READ, EV_ADD)) != 0) return 3;
        tree.append("file", 2);
        const std::vector<Event> events = mine.wait();
        return events.size() == 1 && events[0].data == 2 ? 0 : 4;
    });
    const int status = child.wait();
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespaces";
    EXPECT_EQ(status, 0) << child.errors();
    const std::string said = child.errors();
    const size_t first = said.find("/proc is not mounted");
    EXPECT_NE(first, std::string::npos) << said;
    EXPECT_EQ(said.find("/proc is not mounted", first + 1), std::string::npos) << said;
}

// inotify refuses a file that the process may not read: the library looks at the file again and
// again (L-VNODE-UNREADABLE).
TEST_F(VnodeSystem, FilesThatMayNotBeRead) {
    if (::getuid() != 0) GTEST_SKIP() << "needs another user";
    const Fd file = tree.file("file", "x");
    tree.chmod("file", 0);
    const Pipe ready = make_pipe();
    Child child([&] {
        if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
        const Queue mine;
        const unsigned mask = kAllNotes;
        if (mine.apply(change(*file, EVFILT_VNODE, EV_ADD | EV_CLEAR, mask)) != 0) return 2;
        if (!mine.collect().empty()) return 3;
        write_bytes(*ready.write, 1);
        // Looked at every now and then: perhaps between the new time and the new size.
        unsigned told = 0;
        while ((told & NOTE_EXTEND) == 0) {
            const std::vector<Event> events = mine.wait();
            if (events.size() != 1) return 4;
            told |= events[0].fflags;
        }
        if (told != (NOTE_WRITE | NOTE_EXTEND)) return 4;
        if (!mine.collect().empty()) return 5;
        return mine.apply(change(*file, EVFILT_VNODE, EV_DELETE)) == 0 ? 0 : 6;
    });
    EXPECT_TRUE(wait_readable(*ready.read));
    ASSERT_EQ(::pwrite(*file, "y", 1, 1), 1);
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

// A file system with open files cannot be unmounted, only hidden, and the kernel does not report
// that (L-VNODE-REVOKE). The test checks that no event says something false.
TEST_F(VnodeSystem, R196_AFileSystemThatIsTakenAway) {
    if (::getuid() != 0) GTEST_SKIP() << "needs root";
    Child child([&] {
        tree.mkdir("mount");
        if (::unshare(CLONE_NEWNS) != 0) return 77;
        if (::mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
        if (::mount("none", tree.path("mount").c_str(), "tmpfs", 0, nullptr) != 0) return 77;
        Fd file = tree.file("mount/file");
        const Queue mine;
        if (mine.apply(change(*file, EVFILT_VNODE, EV_ADD | EV_CLEAR, kChanges)) != 0) return 1;
        if (::umount2(tree.path("mount").c_str(), MNT_DETACH) != 0) return 2;
        if (!mine.collect().empty()) return 3;
        write_bytes(*file, 1);
        if (mine.collect().size() != 1) return 4;
        file.reset();  // now it goes, with the file in it
        if (!mine.collect().empty()) return 5;
        return mine.readable() ? 6 : 0;
    });
    const int status = child.wait();
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespaces";
    EXPECT_EQ(status, 0) << child.errors();
}

}  // namespace
}  // namespace kqtest
