// SPDX-License-Identifier: BSD-2-Clause
// The simulated kernel queue: reports of changes of files. See backend.h.
#include <utility>
#include <vector>

#include "backend.h"
#include "check.h"
#include "world.h"

namespace kq {

using sim::Fault;
using sim::world;

Errno Backend::watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    const auto at = files_.find(facts.file_watch);
    KQ_CHECK((at != files_.end()) == (facts.file_watch != 0));
    KQ_CHECK(at == files_.end() || at->second.handle.bits() == handle.bits());
    if (wanted == 0) {
        if (at != files_.end()) files_.erase(at);
        facts.file_watch = 0;
        return Errno::ok;
    }
    const sim::OpenFile* file = world().find(fd);
    if (file == nullptr) return Errno::bad_descriptor;
    if (at != files_.end()) {
        if (at->second.serial != file->serial) return Errno::no_entry;
        at->second.wanted = wanted;
        return Errno::ok;
    }
    const Errno error = world().use(Fault::watch_file);
    if (error != Errno::ok) return error;
    facts.file_watch = ++next_file_;
    facts.file_untold = file->untold;
    files_[facts.file_watch] = {file->serial, handle, wanted};
    return Errno::ok;
}

void Backend::on_file_changed(uint64_t serial, uint32_t changes) {
    for (auto& [id, file] : files_) {
        const uint32_t told = changes & (file.wanted | kUnknown | kLost);
        if (file.serial != serial || told == 0) continue;
        const sim::OpenFile* now = world().find_serial(serial);
        if (now != nullptr && now->untold) continue;
        file.changes |= told;
        list_special(kFiles);
    }
}

void Backend::take_files(void (*tell)(void*, Handle, uint32_t), void* context) {
    std::vector<std::pair<Handle, uint32_t>> changed;
    for (auto& [id, file] : files_) {
        const uint32_t changes = std::exchange(file.changes, 0);
        if (changes != 0) changed.emplace_back(file.handle, changes);
    }
    for (const auto& [handle, changes] : changed)
        tell(context, handle, changes);
}

}  // namespace kq
