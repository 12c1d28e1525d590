// SPDX-License-Identifier: BSD-2-Clause
// The rules of PORT_SOURCE_FILE: 20 to 26. For the sources see rules_test.cc.
#include <sys/time.h>

#include <filesystem>

#include "rules.h"

namespace {

using namespace rules;

constexpr int kAll = FILE_ACCESS | FILE_MODIFIED | FILE_ATTRIB | FILE_TRUNC;

class File : public Rule {
  protected:
    void SetUp() override {
        Rule::SetUp();
        const char* place = std::getenv("TMPDIR");
        directory = std::string(place != nullptr ? place : "/tmp") + "/kq_eventport.XXXXXX";
        ASSERT_NE(::mkdtemp(directory.data()), nullptr);
        directory = std::filesystem::canonical(directory);
        ASSERT_EQ(::mkdir(path("d").c_str(), 0700), 0);
        make("f");
    }
    void TearDown() override {
        Rule::TearDown();
        (void)!::system(("rm -rf " + directory).c_str());
    }
    std::string path(const std::string& name) const { return directory + "/" + name; }
    void make(const std::string& name) const { std::ofstream(path(name)) << "content"; }

    // An object. Its address identifies it.
    struct Object {
        explicit Object(std::string of) : name(std::move(of)) { file.fo_name = name.data(); }
        uintptr_t address() const { return reinterpret_cast<uintptr_t>(&file); }
        void stamp() {
            struct stat s;
            ASSERT_EQ(::stat(name.c_str(), &s), 0);
            file.fo_atime = s.st_atim;
            file.fo_mtime = s.st_mtim;
            file.fo_ctime = s.st_ctim;
        }
        std::string name;
        file_obj_t file{};
    };
    int watch(const Object& object, int events = kAll, void* user = nullptr) const {
        return ::port_associate(*port, PORT_SOURCE_FILE, object.address(), events, user);
    }
    int unwatch(const Object& object) const {
        return ::port_dissociate(*port, PORT_SOURCE_FILE, object.address());
    }
    // The flags of the event; 0 if there is no event, -1 if there are several.
    int told() const {
        const auto events = port.now();
        if (events.empty()) return 0;
        EXPECT_EQ(events[0].portev_source, PORT_SOURCE_FILE);
        return events.size() == 1 ? events[0].portev_events : -1;
    }

    std::string directory;
    Port port;
};

// man/port_associate.3c; portfs/port_fop.c port_cache_lookup_fop(): by address.
TEST_F(File, P20_ObjectsAreAddresses) {
    const Object a(path("f"));
    const Object b(path("f"));
    ASSERT_EQ(watch(a, FILE_ATTRIB, cookie(1)), 0);
    ASSERT_EQ(watch(b, FILE_ATTRIB, cookie(2)), 0);
    ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
    const auto events = port.now();
    ASSERT_EQ(events.size(), 2u);
    for (const port_event_t& e : events) {
        EXPECT_TRUE(e.portev_object == a.address() || e.portev_object == b.address());
        EXPECT_EQ(e.portev_user, cookie(e.portev_object == a.address() ? 1 : 2));
    }
}

TEST_F(File, P20_LinksAreFollowedUnlessAskedNotTo) {
    ASSERT_EQ(::symlink(path("f").c_str(), path("link").c_str()), 0);
    const Object target(path("link"));
    const Object itself(path("link"));
    ASSERT_EQ(watch(target, FILE_ATTRIB), 0);
    ASSERT_EQ(watch(itself, FILE_ATTRIB | FILE_NOFOLLOW), 0);
    ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
    EXPECT_EQ(told(), FILE_ATTRIB);
    ASSERT_EQ(::unlink(path("link").c_str()), 0);
    EXPECT_EQ(told(), FILE_DELETE);
}

// Another file under the same name makes another association, for the same object.
TEST_F(File, P20_TheNameIsReadAtAssociate) {
    Object object(path("f"));
    ASSERT_EQ(watch(object), 0);
    make("g");
    object.name = path("g");
    object.file.fo_name = object.name.data();
    ASSERT_EQ(watch(object), 0);
    ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
    EXPECT_EQ(told(), 0);
    ASSERT_EQ(::chmod(path("g").c_str(), 0640), 0);
    EXPECT_EQ(told(), FILE_ATTRIB);
}

// portfs/port_fop.c port_check_timestamp().
TEST_F(File, P21_WhatChangedSinceTheTimesIsToldAtOnce) {
    Object object(path("f"));
    object.stamp();
    ASSERT_EQ(watch(object), 0);
    EXPECT_EQ(told(), 0);
    object.file.fo_mtime.tv_nsec ^= 1;
    ASSERT_EQ(watch(object, FILE_ACCESS | FILE_ATTRIB), 0);
    EXPECT_EQ(told(), 0) << "not asked for";
    ASSERT_EQ(watch(object), 0);
    EXPECT_EQ(told(), FILE_MODIFIED);
    object.file.fo_atime.tv_sec--;
    object.file.fo_ctime.tv_sec--;
    ASSERT_EQ(watch(object), 0);
    EXPECT_EQ(told(), FILE_ACCESS | FILE_MODIFIED | FILE_ATTRIB);
    const Object unknown(path("f"));
    ASSERT_EQ(watch(unknown), 0);
    EXPECT_EQ(told(), 0) << "zeros are not compared";
}

TEST_F(File, P21_TimesOfFifosAreNotCompared) {
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    Object fifo(path("fifo"));
    fifo.stamp();
    fifo.file.fo_mtime.tv_sec--;
    ASSERT_EQ(watch(fifo), 0);
    EXPECT_EQ(told(), 0);
}

// portfs/port_fop.c port_associate_fop(): FILE_EVENTS_MASK.
TEST_F(File, P22_ExceptionsAreNotAskedForAndComeAnyway) {
    const Object object(path("f"));
    for (const int bit : {FILE_DELETE, FILE_RENAME_TO, FILE_RENAME_FROM, UNMOUNTED, MOUNTEDOVER, 8})
        EXPECT_ERRNO(EINVAL, watch(object, FILE_ATTRIB | bit));
    ASSERT_EQ(watch(object, FILE_ACCESS), 0);
    ASSERT_EQ(::unlink(path("f").c_str()), 0);
    EXPECT_EQ(told(), FILE_DELETE);
}

// portfs/port_fop.c port_fop_sendevent(), port_fop_excep().
TEST_F(File, P23_OnceUntilAssociatedAgain) {
    const Object object(path("f"));
    ASSERT_EQ(watch(object), 0);
    ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
    EXPECT_EQ(told(), FILE_ATTRIB);
    ASSERT_EQ(::chmod(path("f").c_str(), 0600), 0);
    EXPECT_EQ(told(), 0);
    EXPECT_ERRNO(ENOENT, unwatch(object)) << "inactive";
    ASSERT_EQ(watch(object), 0);
    EXPECT_EQ(unwatch(object), 0);
}

TEST_F(File, P23_AnExceptionTakesThePlaceOfAQueuedEvent) {
    const Object object(path("f"));
    ASSERT_EQ(watch(object), 0);
    ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
    EXPECT_EQ(port.count(), 1u);
    ASSERT_EQ(::unlink(path("f").c_str()), 0);
    EXPECT_EQ(told(), FILE_DELETE);
    EXPECT_ERRNO(ENOENT, unwatch(object)) << "removed";
}

TEST_F(File, P23_NoExceptionAfterADeliveredEvent) {
    const Object object(path("f"));
    ASSERT_EQ(watch(object), 0);
    ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
    EXPECT_EQ(told(), FILE_ATTRIB);
    ASSERT_EQ(::unlink(path("f").c_str()), 0);
    EXPECT_EQ(told(), 0);
    EXPECT_ERRNO(ENOENT, watch(object));
}

// portfs/port_fop.c port_fop_write() and similar, port_fop_vnevent(); sys/port_impl.h FOP_*_MASK.
TEST_F(File, P24_WhatTellsWhat) {
    struct Row {
        const char* what;
        const char* watched;
        std::function<void()> action;
        int events;
    };
    const auto p = [this](const char* name) { return path(name); };
    const auto write = [&](const char* name) {
        const Fd fd(::open(p(name).c_str(), O_WRONLY | O_APPEND));
        EXPECT_EQ(::write(*fd, "x", 1), 1);
    };
    const auto read = [&](const char* name) {
        char byte;
        const Fd fd(::open(p(name).c_str(), O_RDONLY));
        EXPECT_EQ(::read(*fd, &byte, 1), 1);
    };
    const auto rename = [&](const char* from, const char* to) {
        EXPECT_EQ(::rename(p(from).c_str(), p(to).c_str()), 0);
    };
    constexpr int kChanged = FILE_MODIFIED | FILE_ATTRIB;
    const timeval old[2] = {{1000, 0}, {1000, 0}};
    const Row rows[] = {
        {"write", "f", [&] { write("f"); }, kChanged},
        {"read", "f", [&] { read("f"); }, FILE_ACCESS},
        {"chmod", "f", [&] { EXPECT_EQ(::chmod(p("f").c_str(), 0640), 0); }, FILE_ATTRIB},
        {"utimes", "f", [&] { EXPECT_EQ(::utimes(p("f").c_str(), old), 0); }, kChanged},
        {"link", "f", [&] { EXPECT_EQ(::link(p("f").c_str(), p("l").c_str()), 0); }, FILE_ATTRIB},
        {"unlink of another link", "f", [&] { EXPECT_EQ(::unlink(p("l").c_str()), 0); },
         FILE_ATTRIB},
        {"truncate", "f", [&] { EXPECT_EQ(::truncate(p("f").c_str(), 1), 0); },
         kChanged | FILE_TRUNC},
        {"create in it", "d", [&] { make("d/new"); }, kChanged},
        {"rename in it", "d", [&] { rename("d/new", "d/newer"); }, kChanged},
        {"write in it", "d", [&] { write("d/newer"); }, 0},
        {"remove in it", "d", [&] { EXPECT_EQ(::unlink(p("d/newer").c_str()), 0); }, kChanged},
        {"mkdir in it", "d", [&] { EXPECT_EQ(::mkdir(p("d/sub").c_str(), 0700), 0); }, kChanged},
        {"rename", "f", [&] { rename("f", "g"); }, FILE_RENAME_FROM},
        {"rename over it", "g", [&] { make("h"), rename("h", "g"); }, FILE_RENAME_TO},
        {"unlink", "g", [&] { EXPECT_EQ(::unlink(p("g").c_str()), 0); }, FILE_DELETE},
        {"rmdir", "d/sub", [&] { EXPECT_EQ(::rmdir(p("d/sub").c_str()), 0); }, FILE_DELETE},
    };
    for (const Row& row : rows) {
        const Object object(p(row.watched));
        ASSERT_EQ(watch(object), 0) << row.what;
        row.action();
        EXPECT_EQ(told(), row.events) << row.what;
        (void)unwatch(object);
    }
}

TEST_F(File, P24_TheSameNameInAnotherDirectory) {
    const Object file(path("f"));
    const Object other(path("d"));
    make("d/f");
    ASSERT_EQ(watch(file), 0);
    ASSERT_EQ(watch(other), 0);
    ASSERT_EQ(::unlink(path("d/f").c_str()), 0);
    const auto events = port.now();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].portev_object, other.address());
}

// man/port_associate.3c; portfs/port_fop.c.
TEST_F(File, P25_Errors) {
    const Object missing(path("missing"));
    EXPECT_ERRNO(EINVAL, unwatch(missing)) << "no file was ever associated";
    EXPECT_ERRNO(ENOENT, watch(missing));
    EXPECT_ERRNO(EFAULT, ::port_associate(*port, PORT_SOURCE_FILE, 0, kAll, nullptr));
    Object nameless("");
    nameless.file.fo_name = nullptr;
    EXPECT_ERRNO(EFAULT, watch(nameless));
    EXPECT_ERRNO(ENOTDIR, watch(Object(path("f/g"))));
    EXPECT_ERRNO(ENOTSUP, watch(Object("/proc/self/stat")));
    const Object object(path("f"));
    ASSERT_EQ(watch(object), 0);
    EXPECT_ERRNO(ENOENT, unwatch(missing));
    knobs("file_off");
    EXPECT_ERRNO(ENOTSUP, watch(object));
    knobs("max_events=1");
    EXPECT_ERRNO(EAGAIN, watch(Object(path("d"))));
}

// usr/src/uts/common/fs/fem.c: hooks run within the call that changes the file.
TEST_F(File, P26_OldNewsIsNotTakenForNews) {
    const Object object(path("f"));
    for (int i = 0; i < 50; i++) {
        ASSERT_EQ(watch(object), 0);
        ASSERT_EQ(::chmod(path("f").c_str(), 0600), 0);
        EXPECT_EQ(port.count(), 1u) << "told at once";
        ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
        ASSERT_EQ(watch(object), 0);
        EXPECT_EQ(port.count(), 0u) << "of before";
    }
}

TEST_F(File, P26_PollSeesIt) {
    const Object object(path("f"));
    ASSERT_EQ(watch(object), 0);
    EXPECT_FALSE(port.readable());
    ASSERT_EQ(::chmod(path("f").c_str(), 0640), 0);
    EXPECT_TRUE(port.readable(kLong));
    EXPECT_EQ(told(), FILE_ATTRIB);
    EXPECT_FALSE(port.readable());
}

// For an unlink, Linux first reports that the number of links has changed.
TEST_F(File, P26_UnlinkIsOneEvent) {
    for (int i = 0; i < 100; i++) {
        make("g");
        const Object object(path("g"));
        ASSERT_EQ(watch(object), 0);
        Getter getter(*port);
        getter.wait_until_asleep();
        ASSERT_EQ(::unlink(path("g").c_str()), 0);
        ASSERT_EQ(getter.result().events.size(), 1u);
        EXPECT_EQ(getter.result().events[0].portev_events, FILE_DELETE);
    }
}

// proc(5): /proc/PID/path.
TEST_F(File, P20_ThePathOfADescriptor) {
    const Fd fd(::open(path("f").c_str(), O_RDONLY));
    const std::string link = "/proc/self/path/" + std::to_string(*fd);
    char target[4096];
    const ssize_t n = ::readlink(link.c_str(), target, sizeof target);
    ASSERT_GT(n, 0);
    EXPECT_EQ(std::string(target, static_cast<size_t>(n)), path("f"));
    const Pipe pipe;
    const std::string none = "/proc/self/path/" + std::to_string(*pipe.read);
    EXPECT_ERRNO(ENOENT, ::readlink(none.c_str(), target, sizeof target));
    ASSERT_EQ(::unlink(path("f").c_str()), 0);
    EXPECT_ERRNO(ENOENT, ::readlink(link.c_str(), target, sizeof target));
}

}  // namespace
