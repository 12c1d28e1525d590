// SPDX-License-Identifier: BSD-2-Clause
// A tree of files and directories, random operations on it, and a model of what must be reported
// for each watched file: see vnode_model.h.
#ifndef KQTEST_VNODE_FOREST_H
#define KQTEST_VNODE_FOREST_H

#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/tree.h"
#include "support/vnode_model.h"

namespace kqtest {

// A file or a directory.
struct VnodeNode {
    VnodeState state;
    std::map<std::string, VnodeNode*> entries;              // of a directory
    std::vector<std::pair<VnodeNode*, std::string>> names;  // its names, with their directories
    std::vector<VnodeWindow*> windows;                      // of those who watch it
    std::string last_arrival;  // of a directory: the name of the last entry that was moved there
    Fd fd;                     // of a file: writable after the last name is gone, too

    template <class Do>
    void tell(Do what) const {
        for (VnodeWindow* window : windows)
            what(*window);
    }
    void post(unsigned bits, bool sure = true) const {
        tell([=](VnodeWindow& w) { w.posted(bits, sure); });
    }
};

// ---- what can be done ----

// A tree of files and directories, and the model of it.
class VnodeForest {
  public:
    explicit VnodeForest(uint64_t seed) : random_(seed) {
        root_ = add(nullptr, "", true);
        for (const char* name : {"a", "b"})
            for (const char* below : {"x", "y"})
                make_file(make_directory(root_, name), below);
    }

    size_t pick(size_t n) { return static_cast<size_t>(random_() % n); }
    void say(const std::string& what) { story_ << "\n  " << what; }
    std::string story() const { return story_.str(); }
    // Some file or directory, with a name or without.
    VnodeNode* any() { return nodes_[pick(nodes_.size())].get(); }
    std::string path_of(const VnodeNode* node) const {
        if (node == root_) return ".";
        return path_of(node->names[0].first) + "/" + node->names[0].second;
    }
    const Tree& tree() const { return tree_; }
    const VnodeNode* root() const { return root_; }

    void operate();

  private:
    using Name = std::pair<VnodeNode*, std::string>;

    VnodeNode* add(VnodeNode* parent, const std::string& name, bool directory) {
        nodes_.push_back(std::make_unique<VnodeNode>());
        VnodeNode* node = nodes_.back().get();
        node->state.directory = directory;
        if (directory) node->state.mode = 0755;
        if (parent != nullptr) insert(node, parent, name);
        return node;
    }
    static void insert(VnodeNode* node, VnodeNode* parent, const std::string& name) {
        parent->entries[name] = node;
        node->names.emplace_back(parent, name);
        if (node->state.directory) parent->state.subdirectories++;
    }
    static void erase(VnodeNode* node, const Name& name) {
        name.first->entries.erase(name.second);
        std::erase(node->names, name);
        if (node->state.directory) name.first->state.subdirectories--;
    }
    std::string path(const Name& name) const { return path_of(name.first) + "/" + name.second; }
    std::string name_of(const VnodeNode* node) const {
        return node->names.empty() ? "(removed, descriptor " + std::to_string(*node->fd) + ")"
                                   : path_of(node);
    }
    std::string fresh() { return "n" + std::to_string(counter_++); }
    static bool holds(const VnodeNode* above, const VnodeNode* below) {
        for (; !below->names.empty(); below = below->names[0].first)
            if (below == above) return true;
        return below == above;
    }
    // A directory that has a name, or the root.
    VnodeNode* directory() {
        for (;;) {
            VnodeNode* node = any();
            if (node->state.directory && (node == root_ || !node->names.empty())) return node;
        }
    }
    static unsigned comes(const VnodeNode* node) { return node->state.directory ? NOTE_LINK : 0; }

    VnodeNode* make_file(VnodeNode* parent, const std::string& name);
    VnodeNode* make_directory(VnodeNode* parent, const std::string& name);
    void remove(VnodeNode* node, Name name);
    void remove_all(VnodeNode* node);
    void move(VnodeNode* node);
    void link(VnodeNode* node);
    void set_size(VnodeNode* node, off_t size);
    void write(VnodeNode* node, off_t at, off_t bytes);
    void change_contents(VnodeNode* node);
    void change_attributes(VnodeNode* node);
    void use(const VnodeNode* node);
    void lose(VnodeNode* node, const Name& name);

    Tree tree_;
    std::mt19937_64 random_;
    std::vector<std::unique_ptr<VnodeNode>> nodes_;
    VnodeNode* root_ = nullptr;
    int counter_ = 0;
    std::ostringstream story_;
};

}  // namespace kqtest

#endif
