// SPDX-License-Identifier: BSD-2-Clause
// malloc() and similar functions, as the library's objects call them. They are counted. They fail
// if a test wants that.
//
// Allocations inside the C library are not counted. A function of the C library fails as a whole.
#include <pthread.h>

#include <cerrno>
#include <cstdlib>

#include "faults/injector.h"
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
int __real_pthread_atfork(void (*prepare)(), void (*parent)(), void (*child)());
int __real_pthread_key_create(pthread_key_t* key, void (*destructor)(void*));
int __real_pthread_setspecific(pthread_key_t key, const void* value);

void* __wrap_malloc(size_t size) {
    if (!kqfaults::is_inside()) return __real_malloc(size);
    const kqfaults::Outside outside;
    if (kqfaults::refuses_allocation()) return nullptr;
    void* block = __real_malloc(size);
    if (block != nullptr) live++;
    return block;
}

void* __wrap_calloc(size_t count, size_t size) {
    if (!kqfaults::is_inside()) return __real_calloc(count, size);
    const kqfaults::Outside outside;
    if (kqfaults::refuses_allocation()) return nullptr;
    void* block = __real_calloc(count, size);
    if (block != nullptr) live++;
    return block;
}

void* __wrap_realloc(void* old, size_t size) {
    if (!kqfaults::is_inside()) return __real_realloc(old, size);
    const kqfaults::Outside outside;
    if (kqfaults::refuses_allocation()) return nullptr;
    void* block = __real_realloc(old, size);
    if (old == nullptr && block != nullptr) live++;
    return block;
}

void __wrap_free(void* block) {
    if (!kqfaults::is_inside()) return __real_free(block);
    const kqfaults::Outside outside;
    if (block != nullptr) live--;
    __real_free(block);
}

int __wrap_pthread_atfork(void (*prepare)(), void (*parent)(), void (*child)()) {
    if (!kqfaults::is_inside()) return __real_pthread_atfork(prepare, parent, child);
    const kqfaults::Outside outside;
    return kqfaults::refuses_allocation() ? ENOMEM : __real_pthread_atfork(prepare, parent, child);
}

int __wrap_pthread_key_create(pthread_key_t* key, void (*destructor)(void*)) {
    if (!kqfaults::is_inside()) return __real_pthread_key_create(key, destructor);
    const kqfaults::Outside outside;
    return kqfaults::refuses_allocation() ? ENOMEM : __real_pthread_key_create(key, destructor);
}

int __wrap_pthread_setspecific(pthread_key_t key, const void* value) {
    if (!kqfaults::is_inside()) return __real_pthread_setspecific(key, value);
    const kqfaults::Outside outside;
    return kqfaults::refuses_allocation() ? ENOMEM : __real_pthread_setspecific(key, value);
}

}  // extern "C"
