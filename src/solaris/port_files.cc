// SPDX-License-Identifier: BSD-2-Clause
// See port_files.h.
#include "port_files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "../posix/file_stat.h"
#include "alloc.h"

namespace kq {
namespace {

// Newer systems report truncations as such. Here the size shows them.
#ifdef FILE_TRUNC
constexpr int kWritten = FILE_MODIFIED | FILE_TRUNC;
#else
constexpr int kWritten = FILE_MODIFIED;
#endif

}  // namespace

// The core compares contents and attributes, because a write changes both and events are merged. A
// rename is reported as one even if it looks like a change of attributes.
uint32_t PortFiles::changes_of(int events) {
    uint32_t changes = (events & FILE_RENAME_FROM) != 0 ? kMoved : kUnknown;
    if ((events & FILE_ACCESS) != 0) changes |= kFileRead;
    // Another file took its name.
    if ((events & (FILE_DELETE | FILE_RENAME_TO)) != 0) changes |= kRemoved;
    if ((events & UNMOUNTED) != 0) changes |= kUnmounted;
    return changes;
}

// The system reports unasked that a file was removed, renamed or unmounted.
int PortFiles::events_for(uint32_t wanted) {
    constexpr uint32_t kOfEntries =
        kEntryChanged | kSubdirectoryChanged | kEntryMoved | kSubdirectoryMoved | kEntryRenamed;
    int events = 0;
    if ((wanted & (kModified | kOfEntries)) != 0) events |= kWritten;
    if ((wanted & kAttributes) != 0) events |= FILE_ATTRIB;
    if ((wanted & kFileRead) != 0) events |= FILE_ACCESS;
    return events;
}

PortFiles::~PortFiles() {
    for (size_t i = 0; i < count_; i++) {
        if (objects_[i] == nullptr) continue;
        free(objects_[i]->path);
        free(objects_[i]);
    }
    free(objects_);
}

// The path by which the descriptor was opened, if it still leads to the file. On the heap.
bool PortFiles::find_path(Object& object) {
    if (object.path == nullptr) object.path = static_cast<char*>(malloc(PATH_MAX));
    if (object.path == nullptr) return false;
    char link[40];
    (void)snprintf(link, sizeof link, "/proc/self/path/%d", object.fd);
    const ssize_t length = readlink(link, object.path, PATH_MAX - 1);
    if (length <= 0) return false;
    object.path[length] = '\0';
    struct stat named {};
    struct stat open {};
    return stat(object.path, &named) == 0 && sys::stat_number(object.fd, &open) == 0 &&
           named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

// Has the system report what changes from the last look on. If it refuses, the file is looked at.
void PortFiles::arm(int32_t watch) {
    Object* object = objects_[watch - 1];
    if (object == nullptr || object->armed) return;
    bool told = false;
    if (find_path(*object)) {
        Nanos read = 0;
        const FileState& state = looked_.state(watch, read);
        object->file.fo_name = object->path;
        object->file.fo_atime = to_timespec(read);
        object->file.fo_mtime = to_timespec(state.modified);
        object->file.fo_ctime = to_timespec(state.changed);
        const auto user = reinterpret_cast<void*>(static_cast<uintptr_t>(watch));
        told = ports::associate(port_, object->file, object->events, user) == Errno::ok;
    }
    object->armed = told;
    if (told) armed_++;
    looked_.set_told(watch, told);
}

void PortFiles::disarm(Object& object, bool in_kernel) {
    if (!object.armed) return;
    if (in_kernel) (void)ports::dissociate(port_, object.file);
    object.armed = false;
    armed_--;
}

void PortFiles::arm_again(void* self, int32_t watch) {
    static_cast<PortFiles*>(self)->arm(watch);
}

void PortFiles::remove(int32_t watch) {
    Object*& object = objects_[watch - 1];
    if (object == nullptr) return;
    disarm(*object, true);
    free(object->path);
    free(object);
    object = nullptr;
}

Errno PortFiles::set(int port, int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    port_ = port;
    const int32_t before = facts.file_watch;
    if (wanted == 0 && before != 0) remove(before);
    const Errno error = looked_.set(fd, wanted, handle, facts);
    const int32_t watch = facts.file_watch;
    if (error != Errno::ok || watch == 0) return error;
    const auto index = static_cast<size_t>(watch) - 1;
    if (!grow_array(objects_, capacity_, index + 1)) return Errno::ok;  // the file is looked at
    for (; count_ <= index; count_++)
        objects_[count_] = nullptr;
    const int events = events_for(wanted);
    Object*& object = objects_[index];
    if (object == nullptr) {
        object = static_cast<Object*>(calloc(1, sizeof(Object)));
        if (object == nullptr) return Errno::ok;
        object->fd = fd;
    } else if (object->events == events) {
        return Errno::ok;
    }
    // With the old times: an event may be taken back here, and then the new association reports the
    // same change.
    disarm(*object, true);
    object->events = events;
    arm(watch);
    return Errno::ok;
}

void PortFiles::take(int port, FileWatch::Tell tell, void* context) {
    port_ = port;
    looked_.take(tell, context);
}

void PortFiles::report(const port_event_t& event) {
    const auto watch = static_cast<size_t>(reinterpret_cast<uintptr_t>(event.portev_user));
    if (watch == 0 || watch > count_) return;
    Object* object = objects_[watch - 1];
    // The number of the object may have been used again.
    if (object == nullptr || reinterpret_cast<uintptr_t>(&object->file) != event.portev_object)
        return;
    disarm(*object, false);
    looked_.note(static_cast<int32_t>(watch), changes_of(event.portev_events));
}

void PortFiles::lost_all(int port) {
    port_ = port;
    for (size_t i = 0; i < count_; i++) {
        if (objects_[i] == nullptr || !objects_[i]->armed) continue;
        disarm(*objects_[i], false);
        arm(static_cast<int32_t>(i + 1));
    }
}

}  // namespace kq
