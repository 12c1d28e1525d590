// SPDX-License-Identifier: BSD-2-Clause
#include "support/library.h"

#include <dlfcn.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace kqtest {
namespace {

// "3.0.0 (linux)" -> "linux"
std::string name_in(const std::string& text) {
    const size_t open = text.find('(');
    const size_t close = text.find(')');
    if (open == std::string::npos || close == std::string::npos || close < open) return {};
    return text.substr(open + 1, close - open - 1);
}

std::string ask() {
    const int kq = ::kqueue();
    struct kevent kev;
    EV_SET(&kev, 0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_VERSION_STR, 0, nullptr);
    const bool answered =
        ::kevent(kq, &kev, 1, &kev, 1, nullptr) == 1 && (kev.flags & EV_ERROR) == 0;
    ::close(kq);
    return answered && kev.udata != nullptr ? name_in(static_cast<const char*>(kev.udata)) : "";
}

// The start of the object that defines `name`, as the program finds it.
const void* object_of(const char* name) {
    Dl_info info{};
    const void* symbol = ::dlsym(RTLD_DEFAULT, name);
    return symbol != nullptr && ::dladdr(symbol, &info) != 0 ? info.dli_fbase : nullptr;
}

}  // namespace

namespace {

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

std::string_view backend() {
    static const std::string name = ask();
    return name;
}

}  // namespace kqtest
