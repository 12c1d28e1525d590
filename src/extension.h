// What a knote has that only kevent64() can give it: kept beside it, so that
// knotes without, nearly all, do not pay. Made, found and freed by wide.cc; a
// knote that has one is marked kExtended. Lock: the kqueue's mutex.
#ifndef KQ_EXTENSION_H
#define KQ_EXTENSION_H

#include <sys/event.h>

namespace kq {

struct Knote;

struct Extension {
    Extension* chain = nullptr;  // in the index, by knote
    const Knote* knote = nullptr;
    uint64_t udata = 0;  // whole, where a pointer has fewer bits
    uint64_t ext[2] = {0, 0};

    [[nodiscard]] uint64_t hash_key() const { return hash_key(knote); }
    static uint64_t hash_key(const Knote* kn) { return reinterpret_cast<uintptr_t>(kn); }
};

// Where one kevent64() call collects: events as of kevent(), and what else there
// is to say of each, zero if nothing.
struct WideList {
    static constexpr int kMost = 64;
    struct kevent events[kMost];
    Extension extensions[kMost];
};

}  // namespace kq

#endif
