// SPDX-License-Identifier: BSD-2-Clause
// select() with sets as large as needed. See select.h.
#include "select.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>

#include <algorithm>

#include "sys.h"

namespace kq::select {
namespace {

// Like fd_set, which ends at 1,024.
struct Set {
    static constexpr int kWord = sizeof(unsigned long) * CHAR_BIT;
    unsigned long words[kMost / kWord];
    int end = 0;  // one more than the largest number

    Set() { memset(words, 0, sizeof words); }
    static unsigned long bit(int fd) { return 1ul << (fd % kWord); }
    void add(int fd) {
        if (fd < 0) return;
        words[fd / kWord] |= bit(fd);
        end = std::max(end, fd + 1);
    }
    fd_set* raw() { return reinterpret_cast<fd_set*>(words); }
};

constexpr Nanos kLookPeriod = 20 * kMillisecond;

}  // namespace

namespace {

// `bit`: POLLIN, POLLOUT or POLLPRI.
short look_in(unsigned long* set, int fd, short bit) {
    set[fd / Set::kWord] |= Set::bit(fd);
    const long long zero[2] = {0, 0};
    const auto if_asked = [set, bit](short which) { return bit == which ? set : nullptr; };
    const long n = sys::call(SYS_pselect6, fd + 1, if_asked(POLLIN), if_asked(POLLOUT),
                             if_asked(POLLPRI), zero, 0);
    if (n < 0) return errno == EBADF ? short{POLLNVAL} : short{0};
    return n == 0 ? short{0} : bit;
}

}  // namespace

short look(int fd, short events) {
    short bit = (events & POLLOUT) != 0 ? POLLOUT : POLLIN;
    if ((events & (POLLIN | POLLOUT)) == 0) bit = POLLPRI;
    if (fd < kMost) {
        Set set;
        return look_in(set.words, fd, bit);
    }
    auto* large = static_cast<unsigned long*>(
        calloc(static_cast<size_t>(fd / Set::kWord) + 1, sizeof(unsigned long)));
    if (large == nullptr) return events;  // called ready, it is looked at by others
    const short ready = look_in(large, fd, bit);
    free(large);
    return ready;
}

// Not instrumented: see Backend::sleep().
__attribute__((no_sanitize("address"))) Errno sleep(int fd, int other, Nanos t,
                                                    const sigset_t* mask) {
    const bool blind = fd >= kMost || other >= kMost;
    Set set;
    if (!blind) {
        set.add(fd);
        set.add(other);
    }
    const Nanos longest = blind ? std::min(t, kLookPeriod) : t;
    const timespec ts = to_timespec(longest == kForever ? 0 : longest);
    const int n =
        pselect(set.end, set.raw(), nullptr, nullptr, longest == kForever ? nullptr : &ts, mask);
    if (n < 0) return last_errno();
    return n == 0 && longest == t ? Errno::timed_out : Errno::ok;
}

}  // namespace kq::select
