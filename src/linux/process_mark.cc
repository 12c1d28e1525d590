// SPDX-License-Identifier: BSD-2-Clause
// Am I the process that made this memory, or a copy of it? See mark_process()
// in capabilities.h.
//
// A page that the kernel gives a child as zeros (MADV_WIPEONFORK, Linux 4.14):
// in the children of fork(), _Fork() and clone() alike, but not of vfork(), whose
// child shares the memory and must not forget anything on behalf of its parent.
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "platform.h"

namespace kq {
namespace {

constinit std::atomic<int> never_marked{1};
constinit std::atomic<std::atomic<int>*> mark{&never_marked};

}  // namespace

// Called by the registry, under its mutex or alone in a child.
bool mark_process() {
    std::atomic<int>* page = mark.load();
    if (page == &never_marked) {
        const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        void* memory =
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return false;
        if (madvise(memory, size, MADV_WIPEONFORK) != 0) {
            const bool unknown = errno == EINVAL;  // to this kernel, for ever
            (void)munmap(memory, size);
            return unknown;
        }
        page = static_cast<std::atomic<int>*>(memory);  // zeros are a valid one
    }
    page->store(1);
    mark.store(page);
    return true;
}

bool is_copy_of_process() {
    return mark.load(std::memory_order_acquire)->load(std::memory_order_relaxed) == 0;
}

}  // namespace kq
