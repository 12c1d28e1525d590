// SPDX-License-Identifier: BSD-2-Clause
#include "support/vnode_forest.h"

#include <algorithm>

#include "support/library.h"

namespace kqtest {

VnodeNode* VnodeForest::make_file(VnodeNode* parent, const std::string& name) {
    VnodeNode* node = add(parent, name, false);
    say("create " + path_of(node));
    node->fd = tree_.file(path_of(node));
    parent->post(NOTE_WRITE);
    return node;
}

VnodeNode* VnodeForest::make_directory(VnodeNode* parent, const std::string& name) {
    const auto at = parent->entries.find(name);
    if (at != parent->entries.end()) return at->second;
    VnodeNode* node = add(parent, name, true);
    say("mkdir " + path_of(node));
    tree_.mkdir(path_of(node));
    parent->post(NOTE_WRITE | NOTE_LINK);
    return node;
}

// The node has lost a name: the name was removed, or given to another node.
void VnodeForest::lose(VnodeNode* node, const Name& name) {
    erase(node, name);
    node->state.links = node->state.directory ? 0 : node->state.links - 1;
    if (node->state.directory)
        node->post(NOTE_DELETE);
    else
        node->tell([](VnodeWindow& w) { w.linked(); });
}

void VnodeForest::remove(VnodeNode* node, Name name) {
    say((node->state.directory ? "rmdir " : "unlink ") + path(name));
    if (node->state.directory)
        tree_.rmdir(path(name));
    else
        tree_.unlink(path(name));
    name.first->post(NOTE_WRITE | comes(node));
    lose(node, name);
}

// rm -rf
void VnodeForest::remove_all(VnodeNode* node) {
    while (!node->entries.empty())
        remove_all(node->entries.begin()->second);
    while (!node->names.empty())
        remove(node, node->names[0]);
}

// Gives the node another name, which may be taken, in this directory or in another one.
void VnodeForest::move(VnodeNode* node) {
    const Name from = node->names[pick(node->names.size())];
    VnodeNode* to = pick(2) == 0 ? from.first : directory();
    if (node->state.directory && holds(node, to)) return;
    // The model of event ports knows files by their paths, the kernel does not.
    if (node->state.directory && !node->entries.empty() && on_model()) return;
    Name name{to, fresh()};
    VnodeNode* target = nullptr;
    for (const auto& [other, entry] : to->entries) {
        if (entry == node || entry->state.directory != node->state.directory) continue;
        if (!entry->entries.empty() || pick(3) != 0) continue;
        name.second = other;
        target = entry;
    }
    say("rename " + path(from) + " " + path(name));
    tree_.rename(path(from), path(name));
    const bool replaces = target != nullptr && target->state.directory;
    if (from.first == to) {
        to->post(NOTE_WRITE | (replaces ? NOTE_LINK : 0));
    } else {
        from.first->post(NOTE_WRITE | NOTE_EXTEND | comes(node));
        // Two arrivals under one name in a row are one to the kernel. The first of them may have
        // been a rename.
        to->post(NOTE_WRITE | NOTE_EXTEND | (replaces ? 0 : comes(node)),
                 to->last_arrival != name.second);
        // It may also have taken the place of a directory, which is not reported there.
        to->post(NOTE_WRITE | NOTE_EXTEND | comes(node), false);
    }
    from.first->last_arrival.clear();
    to->last_arrival = name.second;
    if (target != nullptr) lose(target, name);
    // The kernel reports that as a change of attributes of the directory, too. If only attributes
    // are asked for, the two cannot be told apart.
    if (replaces) target->post(NOTE_ATTRIB, false);
    erase(node, from);
    insert(node, to, name.second);
    node->tell([](VnodeWindow& w) { w.renamed(); });
}

void VnodeForest::link(VnodeNode* node) {
    const Name name{directory(), fresh()};
    say("link " + path_of(node) + " " + path(name));
    tree_.link(path_of(node), path(name));
    insert(node, name.first, name.second);
    node->state.links++;
    node->state.had_more_names = true;
    name.first->post(NOTE_WRITE);
    node->tell([](VnodeWindow& w) { w.linked(); });
}

void VnodeForest::set_size(VnodeNode* node, off_t size) {
    say("ftruncate " + name_of(node) + " to " + std::to_string(size));
    ASSERT_EQ(::ftruncate(*node->fd, size), 0);
    node->tell([=](VnodeWindow& w) { w.written(node->state.size, size); });
    node->state.size = size;
}

void VnodeForest::write(VnodeNode* node, off_t at, off_t bytes) {
    say("write " + name_of(node) + " " + std::to_string(bytes) + " at " + std::to_string(at));
    const std::string content(static_cast<size_t>(bytes), 'x');
    ASSERT_EQ(::pwrite(*node->fd, content.data(), content.size(), at), bytes);
    const off_t size = std::max(node->state.size, at + bytes);
    node->tell([=](VnodeWindow& w) { w.written(node->state.size, size); });
    node->state.size = size;
}

void VnodeForest::change_contents(VnodeNode* node) {
    const off_t size = node->state.size;
    const auto some = static_cast<off_t>(1 + pick(9));
    switch (pick(5)) {
        case 0:
            return write(node, size, some);
        case 1:
            return write(node, 0, std::min(some, std::max<off_t>(size, 1)));
        case 2:
            return set_size(node, size + some);
        case 3:
            return size == 0 ? void() : set_size(node, static_cast<off_t>(pick(size)));
        default:  // as "> file" does it
            if (size > 0) set_size(node, 0);
            write(node, 0, some);
    }
}

void VnodeForest::change_attributes(VnodeNode* node) {
    const std::string name = path_of(node);
    const size_t how = pick(3);
    say((how == 0 ? "touch " : how == 1 ? "chmod " : "chmod (the same) ") + name);
    if (how == 0) {
        tree_.touch(name);
    } else {
        if (how == 1) node->state.mode ^= 0001;
        tree_.chmod(name, node->state.mode);
    }
    node->tell([](VnodeWindow& w) { w.attribute(); });
}

void VnodeForest::use(const VnodeNode* node) {
    const bool writes = !node->state.directory && pick(2) == 0;
    say((writes ? "open to write " : "open ") + path_of(node));
    open_file(tree_.path(path_of(node)), writes ? O_WRONLY : O_RDONLY);
    node->tell(
        [=](VnodeWindow& w) { w.used(NOTE_OPEN | (writes ? NOTE_CLOSE_WRITE : NOTE_CLOSE)); });
}

void VnodeForest::operate() {
    VnodeNode* node = any();
    const bool file = !node->state.directory;
    if (node->names.empty() && node != root_) {
        if (file) change_contents(node);
        return;
    }
    const bool movable = node != root_;
    switch (pick(12)) {
        case 0:
            return (void)make_file(directory(), fresh());
        case 1:
            return (void)make_directory(directory(), fresh());
        case 2:
        case 3:
            return movable ? move(node) : void();
        case 4:
            return movable && node->entries.empty() ? remove(node, node->names[0]) : void();
        case 5:
            return movable && pick(3) == 0 ? remove_all(node) : void();
        case 6:
            return file ? link(node) : void();
        case 7:
        case 8:
            return change_attributes(node);
        case 9:
            return use(node);
        default:
            return file ? change_contents(node) : void();
    }
}

}  // namespace kqtest
