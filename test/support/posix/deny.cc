// SPDX-License-Identifier: BSD-2-Clause
// Makes the kernel refuse system calls, with a seccomp filter. See deny.h.
#ifdef __linux__

    #include "support/deny.h"

    #include <linux/filter.h>
    #include <linux/seccomp.h>
    #include <sys/prctl.h>

    #include <bit>
    #include <cstddef>
    #include <cstdint>
    #include <iterator>

namespace kqtest {

namespace {

bool install(sock_filter* program, size_t length) {
    const sock_fprog filter{static_cast<unsigned short>(length), program};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

constexpr uint32_t failing_with(int error) {
    return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error);
}

// The low half of the first argument.
constexpr size_t kFirst =
    offsetof(seccomp_data, args) + (std::endian::native == std::endian::big ? 4 : 0);

}  // namespace

bool deny(long number, int error) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, failing_with(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(program, std::size(program));
}

bool deny_if(long number, long first, int error) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFirst),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(first), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, failing_with(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(program, std::size(program));
}

}  // namespace kqtest

#endif  // __linux__
