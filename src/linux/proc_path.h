// The way to an open file that opens nothing: /proc/self/fd/N, a link that the kernel
// follows to the file itself, whatever its name is now. Used by vnodes.cc and
// descriptor.cc; no lock.
#ifndef KQ_LINUX_PROC_PATH_H
#define KQ_LINUX_PROC_PATH_H

#include <string.h>

namespace kq {

// Written by hand: it is made for every file that is watched, and snprintf() takes
// longer than fstat().
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
