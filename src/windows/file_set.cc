// SPDX-License-Identifier: BSD-2-Clause
// What happens to files, for one kqueue. See file_set.h.
#include "file_set.h"

#include <string.h>

#include <algorithm>

#include "alloc.h"
#include "check.h"
#include "files.h"
#include "numbers.h"
#include "platform.h"

namespace kq {

struct FileSet::File : Link {  // on news_
    int fd = -1;
    Handle handle;
    FdFacts facts;         // kind and identity
    FileState state;       // when last looked at
    uint32_t changes = 0;  // not reported yet, apart from what a look shows
    Place parent;          // in the directory that holds it
    Place own;             // a directory's: in itself
    wchar_t* name = nullptr;
    size_t length = 0;

    File() = default;
    ~File() { free(name); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    [[nodiscard]] FileName called() const { return {name, length}; }
    bool call(FileName other) {
        void* memory = realloc(name, std::max(other.length, size_t{1}) * sizeof(wchar_t));
        if (memory == nullptr) return false;
        name = static_cast<wchar_t*>(memory);
        length = other.length;
        memcpy(name, other.text, length * sizeof(wchar_t));
        return true;
    }
};

FileSet::File* FileSet::find(int fd) const {
    File** place = by_number_.find(static_cast<size_t>(fd));
    return place == nullptr ? nullptr : *place;
}

namespace {

// Calls see() for each element. see() must not change the list.
template <class T, class See>
void for_each(List<T>& list, See see) {
    Link end;
    list.mark(end);
    while (T* element = list.first_before(end)) {
        element->unlink();
        list.push_back(element);  // behind the end of this walk
        see(*element);
    }
    end.unlink();
}

}  // namespace

// ---- what is watched ----

// A place in the directory of this path, which is watched from now on.
Errno FileSet::watch(const wchar_t* path, Place& place) {
    Owned<Directory> fresh = make<Directory>();
    if (!fresh) return Errno::no_memory;
    Errno error = fresh->open(path);
    if (error != Errno::ok) return error;
    Directory* directory = nullptr;
    for_each(directories_, [&](Directory& known) {
        if (known.identity() == fresh->identity() && fresh->identity() != 0 && known.is_pending() &&
            !known.orphan)
            directory = &known;
    });
    if (directory == nullptr) {
        error = fresh->start(port_, key_);
        if (error != Errno::ok) return error;
        directory = fresh.release();
        directories_.push_back(directory);
    }
    place.directory = directory;
    directory->places.push_back(&place);
    return Errno::ok;
}

void FileSet::leave(Place& place) {
    if (place.directory == nullptr) return;
    Directory& directory = *place.directory;
    place.unlink();
    place.directory = nullptr;
    if (!directory.places.empty()) return;
    directory.orphan = true;
    if (directory.is_pending()) {
        directory.close();  // its memory is freed with its packet
        return;
    }
    directory.unlink();
    Owned<Directory>(&directory).reset();
}

// Finds out in which directory the file is now. If that is unknown, or cannot be watched, the file
// is only looked at.
void FileSet::find_home(File& file) {
    leave(file.parent);
    FilePath path;
    if (!path.find(numbers::handle_of(file.fd)) || !file.call(path.name())) return;
    if (file.facts.kind == FdKind::directory && file.own.directory == nullptr)
        (void)watch(path.text(), file.own);
    path.cut();
    (void)watch(path.text(), file.parent);
}

Errno FileSet::make_file(int fd, Handle handle, FdFacts& facts) {
    Owned<File> file = make<File>();
    File** place = by_number_.at(static_cast<size_t>(fd));
    if (!file || place == nullptr) return Errno::no_memory;
    file->fd = fd;
    file->handle = handle;
    file->own.file = file->parent.file = file.get();
    Errno error = files::classify(fd, file->facts);
    if (error != Errno::ok) return error;
    if (file->facts.kind != FdKind::directory && file->facts.kind != FdKind::regular)
        return Errno::ok;  // of no interest
    find_home(*file);
    // The watch is made before the look, so no change falls between them.
    error = descriptor::file_state(fd, file->facts, file->state);
    if (error != Errno::ok) {
        leave(file->own);
        leave(file->parent);
        return error;
    }
    facts.file_late = true;
    *place = file.release();
    if (count_++ == 0) look_at_ = now(Clock::monotonic) + kPeriod;
    return Errno::ok;
}

void FileSet::drop(File& file) {
    leave(file.own);
    leave(file.parent);
    if (file.linked()) file.unlink();
    *by_number_.find(static_cast<size_t>(file.fd)) = nullptr;
    count_--;
    Owned<File>(&file).reset();
}

Errno FileSet::set(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    File* file = find(fd);
    const bool same = file != nullptr && file->handle.bits() == handle.bits() &&
                      files::check_same(fd, file->facts) == Errno::ok;
    if (same && wanted != 0) return Errno::ok;
    if (file != nullptr) drop(*file);
    facts.file_late = false;
    if (wanted == 0 || numbers::is_socket(fd)) return Errno::ok;
    return make_file(fd, handle, facts);
}

void FileSet::close() {
    by_number_.for_each([this](size_t, File*& file) {
        if (file != nullptr) drop(*file);
    });
}

// ---- what is told ----

void FileSet::note(File& file, uint32_t changes) {
    file.changes |= changes;
    if (!file.linked()) news_.push_back(&file);
}

namespace {

uint32_t of_entry(Directory::What what) {
    switch (what) {
        case Directory::What::added:
        case Directory::What::removed:
            return kEntryChanged;
        case Directory::What::renamed_from:
            return kEntryRenamed;
        default:
            return 0;  // it concerns the contents of the entry, or is the second half of a rename
    }
}

// The same for a file of that name.
uint32_t of_name(Directory::What what) {
    switch (what) {
        case Directory::What::renamed_from:
            return kMoved;
        case Directory::What::removed:  // or it moved to another directory
            return kRemoved | kUnknown;
        case Directory::What::renamed_to:  // another file has taken the name
            return kRemoved;
        default:
            return 0;
    }
}

}  // namespace

void FileSet::tell_of(Directory& directory, Directory::Records& records) {
    Directory::What what{};
    FileName name;
    File* renamed = nullptr;  // the next record has its new name
    while (records.next(what, name)) {
        File* last = renamed;
        renamed = nullptr;
        for_each(directory.places, [&](Link& link) {
            File& file = *static_cast<Place&>(link).file;
            if (&link == &file.own) {
                if (of_entry(what) != 0) note(file, of_entry(what));
                return;
            }
            if (&file == last && what == Directory::What::renamed_to) {
                // If memory is short it keeps its old name here, and is only looked at.
                (void)file.call(name);
                return;
            }
            if (!file.called().is_like(name)) {
                if (name.may_be_short()) note(file, 0);
                return;
            }
            if (what == Directory::What::renamed_from) renamed = &file;
            note(file, of_name(what));
        });
    }
}

// More happened than the system could keep, or it reports no more.
void FileSet::tell_all(Directory& directory) {
    for_each(directory.places, [this](Link& link) {
        File& file = *static_cast<Place&>(link).file;
        note(file, &link == &file.own ? kEntryChanged | kUnknown : kUnknown);
    });
}

void FileSet::on_packet(void* object, uintptr_t bytes, long status) {
    Directory& directory = Directory::of_packet(object);
    directory.note_answered();
    if (directory.orphan) {
        directory.unlink();
        Owned<Directory>(&directory).reset();
        return;
    }
    if (status == 0 && bytes != 0) {
        Directory::Records records(directory, bytes);
        tell_of(directory, records);
    } else {
        tell_all(directory);
    }
    // If the request is refused, as for a directory that was removed, its files are only looked at.
    (void)directory.ask();
}

// ---- looking ----

// What has changed since the last look, apart from what was reported.
uint32_t FileSet::look_at(File& file, uint32_t told) {
    FileState seen;
    if (descriptor::file_state(file.fd, file.facts, seen) != Errno::ok) return kUnknown;
    const FileState& old = file.state;
    const bool written = old.size != seen.size || old.modified != seen.modified;
    // A rename changes this time, too.
    const bool touched = old.changed != seen.changed && (told & kMoved) == 0;
    const bool other = touched || old.links != seen.links || old.mode != seen.mode;
    file.state = seen;
    if (written) return kUnknown;
    return other ? uint32_t{kAttributes} : 0;
}

void FileSet::look(Nanos t) {
    if (count_ == 0 || t < look_at_) return;
    by_number_.for_each([this](size_t, File*& file) {
        if (file == nullptr || file->linked()) return;
        const uint32_t changes = look_at(*file, 0);
        if (changes != 0) note(*file, changes);
    });
    // Looks take at most a twentieth of the time.
    constexpr Nanos kShare = 20;
    const Nanos took = now(Clock::monotonic) - t;
    look_at_ = t + std::max(kPeriod, took * kShare);
}

void FileSet::take(Tell tell, void* context) {
    while (!news_.empty()) {
        File& file = *news_.front();
        file.unlink();
        uint32_t changes = std::exchange(file.changes, 0);
        if ((changes & kRemoved) != 0) find_home(file);
        changes |= look_at(file, changes);
        // This is last, because it may drop the file.
        if (changes != 0) tell(context, file.handle, changes);
    }
}

}  // namespace kq
