// SPDX-License-Identifier: BSD-2-Clause
// Files and directories, while the system refuses.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "faults/scenarios.h"

namespace kqfaults {
namespace {

void files(Driver& d) {
    const Place place;
    const Fd queue = d.kqueue();
    const uintptr_t file = ident(place.file);
    const uintptr_t self = ident(place.self);
    d.change(queue, file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    d.change(queue, self, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_DELETE);
    put(place.file);
    d.expect(queue, {{file, EVFILT_VNODE}});
    d.change(queue, file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_DELETE);
    (void)unlink(place.path.c_str());
    d.expect(queue, {{file, EVFILT_VNODE}, {self, EVFILT_VNODE}});
    (void)rmdir(place.directory);
    d.expect(queue, {{self, EVFILT_VNODE}});
    d.change(queue, file, EVFILT_VNODE, EV_DELETE);
}

// Each kind of news alone, and news while the knote is disabled.
void file_news(Driver& d) {
    const Place place;
    const Fd queue = d.kqueue();
    const uintptr_t file = ident(place.file);
    const std::string aside = place.path + "-aside";
    const auto ask = [&](unsigned notes) {
        d.change(queue, file, EVFILT_VNODE, EV_ADD | EV_CLEAR, notes);
    };
    ask(NOTE_EXTEND);
    put(place.file);
    d.expect(queue, {{file, EVFILT_VNODE}});
    ask(NOTE_ATTRIB);
    (void)fchmod(*place.file, 0640);
    d.expect(queue, {{file, EVFILT_VNODE}});
    ask(NOTE_RENAME);
    (void)rename(place.path.c_str(), aside.c_str());
    d.expect(queue, {{file, EVFILT_VNODE}});
    ask(NOTE_LINK);
    (void)link(aside.c_str(), place.path.c_str());
    d.expect(queue, {{file, EVFILT_VNODE}});
    ask(NOTE_WRITE | NOTE_TRUNCATE);
    d.change(queue, file, EVFILT_VNODE, EV_DISABLE);
    (void)!ftruncate(*place.file, 0);
    d.expect_none(queue);
    d.change(queue, file, EVFILT_VNODE, EV_ENABLE);
    d.expect(queue, {{file, EVFILT_VNODE}});
    (void)unlink(aside.c_str());
}

// One file with two numbers. One of them is deleted.
void shared_file(Driver& d) {
    const Place place;
    const Fd queue = d.kqueue();
    Fd other = another(place.file);
    const uintptr_t first = ident(place.file);
    const uintptr_t second = ident(other);
    d.change(queue, first, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    d.change(queue, second, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_ATTRIB);
    put(place.file);
    d.expect(queue, {{first, EVFILT_VNODE}, {second, EVFILT_VNODE}});
    d.change(queue, second, EVFILT_VNODE, EV_DELETE);
    put(place.file);
    d.expect(queue, {{first, EVFILT_VNODE}});
    d.change(queue, second, EVFILT_VNODE, EV_ADD | EV_ONESHOT, NOTE_WRITE);
    put(place.file);
    d.expect(queue, {{first, EVFILT_VNODE}, {second, EVFILT_VNODE}});
}

// A regular file is ready while there are bytes behind the offset.
void files_read(Driver& d) {
    const Place place;
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(place.file);
    d.change(queue, fd, kRead, EV_ADD | EV_CLEAR);
    d.look(queue);
    if (pwrite(*place.file, "abc", 3, 0) != 3) throw Broken("pwrite()");
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_DELETE);
    d.change(queue, fd, kRead, EV_ADD);
    d.expect(queue, {{fd, kRead}});
    (void)lseek(*place.file, 0, SEEK_END);
    d.expect_none(queue);
    (void)lseek(*place.file, 1, SEEK_SET);
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_DISABLE);
    d.change(queue, fd, kRead, EV_ENABLE);
    d.change(queue, fd, kWrite, EV_ADD);
    d.expect(queue, {{fd, kRead}, {fd, kWrite}});
}

// One file is removed before it is watched. The other never had a name, so the kernel may report
// nothing about it.
void nameless_files(Driver& d) {
    const Place place;
    const Fd memory = [] {
        const Unlimited unlimited;
        return high(memfd_create("kqfaults", MFD_CLOEXEC));
    }();
    (void)unlink(place.path.c_str());
    const Fd queue = d.kqueue();
    for (const Fd* file : {&place.file, &memory}) {
        const uintptr_t fd = ident(*file);
        d.change(queue, fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
        put(*file);
        d.expect(queue, {{fd, EVFILT_VNODE}});
        d.change(queue, fd, kRead, EV_ADD | EV_CLEAR);
        d.look(queue);
        put(*file);
        (void)lseek(**file, 0, SEEK_SET);
        d.expect(queue, {{fd, EVFILT_VNODE}, {fd, kRead}});
        d.change(queue, fd, kRead, EV_DELETE);
    }
}

// A pipe with a name is a file, too.
void fifos(Driver& d) {
    const Place place;
    (void)unlink(place.path.c_str());
    if (mkfifo(place.path.c_str(), 0600) != 0) throw Broken("mkfifo()");
    const Fd fifo = [&place] {
        const Unlimited unlimited;
        return high(open(place.path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    }();
    const Fd queue = d.kqueue();
    d.change(queue, ident(fifo), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_ATTRIB);
    d.change(queue, ident(fifo), kRead, EV_ADD);
    (void)fchmod(*fifo, 0640);
    d.expect(queue, {{ident(fifo), EVFILT_VNODE}});
    put(fifo);
    d.expect(queue, {{ident(fifo), kRead}});
}

}  // namespace

std::vector<Scenario> file_scenarios() {
    return {
        {"files", files},
        {"file_news", file_news},
        {"shared_file", shared_file},
        {"files_read", files_read},
        {"nameless_files", nameless_files},
        {"fifos", fifos},
    };
}

}  // namespace kqfaults
