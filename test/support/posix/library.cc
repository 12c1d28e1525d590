// SPDX-License-Identifier: BSD-2-Clause
// The parts of library.h that ask the loader.
#include "support/library.h"

#include <dlfcn.h>
#include <sys/stat.h>

namespace kqtest {
namespace {

// The start address of the object whose `name` the program uses.
const void* object_of(const char* name) {
    Dl_info info{};
    const void* symbol = ::dlsym(RTLD_DEFAULT, name);
    return symbol != nullptr && ::dladdr(symbol, &info) != 0 ? info.dli_fbase : nullptr;
}

using Hidden = int (*)(int);

Hidden model() {
    static const auto hidden = reinterpret_cast<Hidden>(::dlsym(RTLD_DEFAULT, "eventport_hidden"));
    return hidden;
}

}  // namespace

bool on_model() {
    return model() != nullptr;
}

void let_the_model_see(int port) {
    struct stat st;
    if (on_model()) (void)::fstat(port, &st);
}

bool is_of_the_model(int number) {
    return model() != nullptr && model()(number) != 0;
}

bool hears_sigaction() {
    const void* library = object_of("kevent");
    return library != nullptr && object_of("sigaction") == library;
}

}  // namespace kqtest
