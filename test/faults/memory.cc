// malloc() and its kin as the library's objects call them: counted, and refused if asked for.
#include <cstdlib>

#include "faults/memory.h"

namespace {

long live = 0;

}  // namespace

namespace kqfaults {

long live_blocks() {
    return live;
}

}  // namespace kqfaults

extern "C" {

void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void* __real_realloc(void* block, size_t size);
void __real_free(void* block);

void* __wrap_malloc(size_t size) {
    if (!kqfaults::is_inside()) return __real_malloc(size);
    if (kqfaults::refuses_allocation()) return nullptr;
    void* block = __real_malloc(size);
    if (block != nullptr) live++;
    return block;
}

void* __wrap_calloc(size_t count, size_t size) {
    if (!kqfaults::is_inside()) return __real_calloc(count, size);
    if (kqfaults::refuses_allocation()) return nullptr;
    void* block = __real_calloc(count, size);
    if (block != nullptr) live++;
    return block;
}

void* __wrap_realloc(void* old, size_t size) {
    if (!kqfaults::is_inside()) return __real_realloc(old, size);
    if (kqfaults::refuses_allocation()) return nullptr;
    void* block = __real_realloc(old, size);
    if (old == nullptr && block != nullptr) live++;
    return block;
}

void __wrap_free(void* block) {
    if (kqfaults::is_inside() && block != nullptr) live--;
    __real_free(block);
}

}  // extern "C"
