// SPDX-License-Identifier: BSD-2-Clause
// A path to an open file that opens nothing: /proc/self/fd/N. The kernel follows this link to the
// file itself, even if its name has changed. Used by vnodes.cc and descriptor.cc; no lock.
#ifndef KQ_LINUX_PROC_PATH_H
#define KQ_LINUX_PROC_PATH_H

#include <string.h>

namespace kq {

// Not by snprintf(), because that takes longer than fstat(), and each watched file needs a path.
struct ProcPath {
    static constexpr size_t kPrefix = sizeof "/proc/self/fd/" - 1;
    char text[kPrefix + 16];

    // `tail` is at most "/..".
    explicit ProcPath(int fd, const char* tail = "") {
        char digits[12];
        size_t count = 0;
        for (auto n = static_cast<unsigned>(fd); n != 0 || count == 0; n /= 10)
            digits[count++] = static_cast<char>('0' + n % 10);
        memcpy(text, "/proc/self/fd/", kPrefix);
        char* end = text + kPrefix;
        while (count > 0)
            *end++ = digits[--count];
        memcpy(end, tail, strlen(tail) + 1);
    }
};

}  // namespace kq

#endif
