// SPDX-License-Identifier: BSD-2-Clause
// Counting in one instruction, which a signal handler of the same thread cannot split.
//
// For words that only one thread and its signal handlers use. If a handler ran between a load and a
// store, the store would undo what the handler did. One instruction without a lock prefix prevents
// that, and the lock is the expensive part of an atomic operation. If the processor has no such
// instruction, or the compiler cannot be asked for it, an atomic operation is used. Both functions
// count in the low half of the word.
#ifndef KQ_UNSPLIT_H
#define KQ_UNSPLIT_H

#include <stdint.h>

#include <atomic>

#include "check.h"

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__)) && !defined(__SANITIZE_THREAD__)
    #define KQ_UNSPLIT_ASM 1
#else
    #define KQ_UNSPLIT_ASM 0
#endif

namespace kq::unsplit {

// Adds 1. The count must stay below 2^32.
KQ_INLINE void add_one(std::atomic<uint64_t>& word) {
#if KQ_UNSPLIT_ASM
    asm volatile("addl $1, %0" : "+m"(word) : : "cc", "memory");
#else
    word.fetch_add(1);
#endif
}

// Subtracts 1. True if the count was 1, or was 0 already.
KQ_INLINE bool take_one_off(std::atomic<uint64_t>& word) {
#if KQ_UNSPLIT_ASM
    bool last;
    asm volatile("subl $1, %0" : "+m"(word), "=@ccbe"(last) : : "memory");
    return last;
#else
    return static_cast<uint32_t>(word.fetch_sub(1)) <= 1;
#endif
}

}  // namespace kq::unsplit

#endif
