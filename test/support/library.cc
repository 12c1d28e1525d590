// SPDX-License-Identifier: BSD-2-Clause
#include "support/library.h"

#include <sys/event.h>
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

}  // namespace

std::string_view backend() {
    static const std::string name = ask();
    return name;
}

}  // namespace kqtest
