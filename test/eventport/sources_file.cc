// SPDX-License-Identifier: BSD-2-Clause
// PORT_SOURCE_FILE: rules 20 to 26. It uses inotify. A watch of the file reports changes of the
// file, and a watch of its directory reports changes of its name.
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "knobs.h"
#include "model.h"

namespace eventport {

namespace {

constexpr int kWatchable = FILE_ACCESS | FILE_MODIFIED | FILE_ATTRIB | FILE_TRUNC | FILE_NOFOLLOW;

constexpr uint32_t kOfNames = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr uint32_t kOfFile =
    IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_CREATE | kOfNames;

// procfs and sysfs: file systems that report no changes.
bool is_silent(const char* path) {
    struct statfs system;
    if (::statfs(path, &system) != 0) return false;
    return system.f_type == 0x9FA0 || system.f_type == 0x62656572;
}

const char* name_of(const FileWatch& watch) {
    return std::strrchr(watch.path, '/') + 1;
}

// Writes the path without links into `path`. With FILE_NOFOLLOW the last part may be a link.
int resolve(const char* name, bool follow, char (&path)[PATH_MAX]) {
    if (name == nullptr) return EFAULT;
    if (follow) return ::realpath(name, path) != nullptr ? 0 : errno;
    char copy[PATH_MAX];
    if (std::strlen(name) >= sizeof copy) return ENAMETOOLONG;
    std::strcpy(copy, name);
    char* slash = std::strrchr(copy, '/');
    const char* last = slash != nullptr ? slash + 1 : copy;
    if (*last == '\0' || std::strcmp(last, ".") == 0 || std::strcmp(last, "..") == 0)
        return ::realpath(name, path) != nullptr ? 0 : errno;
    const char* directory = slash == nullptr ? "." : slash == copy ? "/" : copy;
    if (slash != nullptr && slash != copy) *slash = '\0';
    if (::realpath(directory, path) == nullptr) return errno;
    const size_t length = std::strlen(path);
    if (length + 1 + std::strlen(last) >= PATH_MAX) return ENAMETOOLONG;
    if (path[length - 1] != '/') std::strcat(path, "/");
    std::strcat(path, last);
    struct stat there;
    return ::lstat(path, &there) == 0 ? 0 : errno;
}

FileWatch* find(const Port& port, uintptr_t object) {
    FileWatch* watch = port.files;
    while (watch != nullptr && watch->object != object)
        watch = watch->next_of_port;
    return watch;
}

// Ends a watch of inotify, unless another association of the port needs it.
void release_wd(const Port& port, int wd) {
    if (wd < 0 || port.foreign) return;
    for (const FileWatch* w = port.files; w != nullptr; w = w->next_of_port)
        if (w->wd == wd || w->directory_wd == wd) return;
    (void)::inotify_rm_watch(port.notify, wd);
}

void remove(FileWatch& watch) {
    Port& port = *watch.port;
    unqueue(watch);
    for (FileWatch** p = &port.files; *p != nullptr; p = &(*p)->next_of_port)
        if (*p == &watch) {
            *p = watch.next_of_port;
            break;
        }
    release_wd(port, watch.wd);
    release_wd(port, watch.directory_wd);
    release_slot(port);
    state.files.give_back(&watch);
}

// An ordinary event. It is reported if it was asked for, and it ends the association (rule 23).
void report(FileWatch& watch, int events) {
    if (!watch.active || (events & watch.asked) == 0) return;
    watch.active = false;
    watch.events |= events & watch.asked;
    post(watch);
}

// An exception removes the association. Its event takes the place of an event that is still queued.
// If that event was delivered already, the exception is not reported.
void report_exception(FileWatch& watch, int event) {
    const bool tells = watch.active || watch.queued;
    Port& port = *watch.port;
    const uintptr_t object = watch.object;
    void* const user = watch.user;
    remove(watch);
    if (!tells || send(port, event, user) != 0) return;
    port.last->source = PORT_SOURCE_FILE;
    port.last->object = object;
}

// inotify does not say what has changed. So this compares the file with its state of before.
int changes_since(FileWatch& watch, uint32_t mask) {
    struct stat now;
    // While unlink() is at work, the name is still there, but the file has no links.
    const bool same = ::lstat(watch.path, &now) == 0 && now.st_dev == watch.device &&
                      now.st_ino == watch.inode && now.st_nlink > 0;
    // The name is gone, or names another file. The directory's watch reports that, now or later.
    if ((mask & IN_ATTRIB) != 0 && !same) mask &= ~static_cast<uint32_t>(IN_ATTRIB);
    int events = 0;
    if ((mask & IN_ACCESS) != 0) events |= FILE_ACCESS;
    if ((mask & IN_ATTRIB) != 0) events |= FILE_ATTRIB;
    if ((mask & (IN_MODIFY | IN_CREATE | kOfNames)) != 0) events |= FILE_MODIFIED | FILE_ATTRIB;
    if (!same) return events;
    if ((mask & IN_MODIFY) != 0 && now.st_size < watch.size) events |= FILE_TRUNC;
    if ((mask & IN_ATTRIB) != 0 && (now.st_mtim.tv_sec != watch.modified.tv_sec ||
                                    now.st_mtim.tv_nsec != watch.modified.tv_nsec))
        events |= FILE_MODIFIED;  // utimes()
    watch.size = now.st_size;
    watch.modified = now.st_mtim;
    return events;
}

void notice(FileWatch& watch, const inotify_event& event) {
    const char* name = event.len > 0 ? event.name : "";
    if (event.wd == watch.directory_wd && (event.mask & kOfNames) != 0 &&
        std::strcmp(name, name_of(watch)) == 0) {
        const uint32_t mask = event.mask;
        return report_exception(watch, (mask & IN_DELETE) != 0       ? FILE_DELETE
                                       : (mask & IN_MOVED_FROM) != 0 ? FILE_RENAME_FROM
                                                                     : FILE_RENAME_TO);
    }
    if (event.wd != watch.wd) return;
    if ((event.mask & IN_UNMOUNT) != 0) return report_exception(watch, UNMOUNTED);
    if ((event.mask & IN_DELETE_SELF) != 0) return report_exception(watch, FILE_DELETE);
    // An event with a name is about a file in a directory. Only a name that came or went changes
    // the directory.
    const uint32_t mask = *name != '\0' ? event.mask & (IN_CREATE | kOfNames) : event.mask;
    if (const int events = changes_since(watch, mask)) report(watch, events);
}

void notice_overflow(Port& port) {
    for (FileWatch* w = port.files; w != nullptr; w = w->next_of_port)
        report(*w, FILE_ACCESS | FILE_MODIFIED | FILE_ATTRIB);
}

int open_notify(Port& port) {  // 0 or errno
    if (port.notify >= 0) return 0;
    port.notify = hide(static_cast<int>(sys(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK)));
    if (port.notify < 0) return EAGAIN;
    if (epoll_change(port.fd, EPOLL_CTL_ADD, port.notify, EPOLLIN, make_data(Tag::notify, 0, 0)) !=
        0)
        die("inotify cannot be watched");
    pump_watch(port.notify, Tag::notify, static_cast<uint32_t>(port.fd));
    return 0;
}

// Makes inotify report about the file, and about its name in the directory. 0 or errno.
int watch_file(FileWatch& watch, bool follow) {
    const uint32_t flags = IN_MASK_ADD | (follow ? 0u : static_cast<uint32_t>(IN_DONT_FOLLOW));
    watch.wd = ::inotify_add_watch(watch.port->notify, watch.path, kOfFile | flags);
    if (watch.wd < 0) return errno == ENOSPC ? EAGAIN : errno;
    char directory[PATH_MAX];
    std::strcpy(directory, watch.path);
    *std::strrchr(directory, '/') = '\0';
    const char* name = *directory != '\0' ? directory : "/";
    watch.directory_wd = ::inotify_add_watch(watch.port->notify, name, kOfNames | IN_MASK_ADD);
    return 0;
}

FileWatch* add(Port& port, const char* path, const struct stat& file, bool follow, int& error) {
    error = EAGAIN;
    if (!take_slot(port)) return nullptr;
    FileWatch* watch = state.files.take();
    if (watch == nullptr) return release_slot(port), nullptr;
    watch->port = &port;
    watch->kind = Kind::file;
    watch->source = PORT_SOURCE_FILE;
    watch->wd = watch->directory_wd = -1;
    watch->device = file.st_dev;
    watch->inode = file.st_ino;
    std::strcpy(watch->path, path);
    watch->next_of_port = port.files;
    port.files = watch;
    error = watch_file(*watch, follow);
    if (error == 0) return watch;
    remove(*watch);
    return nullptr;
}

bool differs(const timespec& given, const timespec& now) {
    const bool asked = given.tv_sec != 0 || given.tv_nsec != 0;
    return asked && (given.tv_sec != now.tv_sec || given.tv_nsec != now.tv_nsec);
}

}  // namespace

int associate_file(Port& port, uintptr_t object, int events, void* user) {
    if ((events & ~kWatchable) != 0) return EINVAL;
    const file_obj_t* given = reinterpret_cast<const file_obj_t*>(object);
    if (given == nullptr) return EFAULT;
    const bool follow = (events & FILE_NOFOLLOW) == 0;
    char path[PATH_MAX];
    int error = resolve(given->fo_name, follow, path);
    if (error != 0) return error;
    struct stat file;
    if (::lstat(path, &file) != 0) return errno;
    if (knobs.file_off || is_silent(path)) return ENOTSUP;
    port.had_file = true;
    error = open_notify(port);
    if (error != 0) return error;
    harvest(port);  // old news must not be taken for news of this association (rule 26)
    FileWatch* watch = find(port, object);
    if (watch != nullptr && (watch->device != file.st_dev || watch->inode != file.st_ino ||
                             std::strcmp(watch->path, path) != 0)) {
        remove(*watch);
        watch = nullptr;
    }
    if (watch == nullptr) watch = add(port, path, file, follow, error);
    if (watch == nullptr) return error;
    unqueue(*watch);
    watch->object = object;
    watch->user = user;
    watch->events = 0;
    watch->asked = events & ~FILE_NOFOLLOW;
    watch->active = true;
    watch->size = file.st_size;
    watch->modified = file.st_mtim;
    if (S_ISFIFO(file.st_mode)) return 0;  // rule 21
    int changed = 0;
    if (differs(given->fo_atime, file.st_atim)) changed |= FILE_ACCESS;
    if (differs(given->fo_mtime, file.st_mtim)) changed |= FILE_MODIFIED;
    if (differs(given->fo_ctime, file.st_ctim)) changed |= FILE_ATTRIB;
    report(*watch, changed);
    return 0;
}

int dissociate_file(Port& port, uintptr_t object) {
    if (!port.had_file) return EINVAL;
    if (!port.foreign) harvest(port);
    FileWatch* watch = find(port, object);
    if (watch == nullptr) return ENOENT;
    const bool active = watch->active || watch->queued;
    remove(*watch);
    return active ? 0 : ENOENT;
}

void read_notifications(Port& port) {
    alignas(inotify_event) char buffer[16 * 1024];
    for (;;) {
        const long n = sys(SYS_read, port.notify, buffer, sizeof buffer);
        if (n <= 0) return;
        for (long at = 0; at < n;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            at += static_cast<long>(sizeof *event + event->len);
            if ((event->mask & IN_Q_OVERFLOW) != 0) notice_overflow(port);
            FileWatch* next;
            for (FileWatch* w = port.files; w != nullptr; w = next) {
                next = w->next_of_port;  // w may be removed
                notice(*w, *event);
            }
        }
    }
}

void forget_files(Port& port) {
    if (port.notify < 0) return;
    // The kernel removes the watches when it is closed.
    if (!port.foreign) pump_unwatch(port.notify);
    close_hidden(port.notify);
    port.notify = -1;
    while (port.files != nullptr) {
        port.files->wd = port.files->directory_wd = -1;
        remove(*port.files);
    }
}

}  // namespace eventport
