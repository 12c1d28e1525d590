// SPDX-License-Identifier: BSD-2-Clause
// Counting in one instruction, which a signal handler of the same thread cannot split.
//
// For words that one thread alone uses, its signal handlers included: a handler that runs between
// a load and a store would have what it did undone. That needs no lock of the bus, which is the
// dearest thing in an atomic operation; where the processor has no such instruction, or the
// compiler no way to ask for it, it is an atomic one. Both count in the low half of the word.
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

// One more. Less than 2^32 of them in all.
KQ_INLINE void add_one(std::atomic<uint64_t>& word) {
#if KQ_UNSPLIT_ASM
    asm volatile("addl $1, %0" : "+m"(word) : : "cc", "memory");
#else
    word.fetch_add(1);
#endif
}

// One less. True if that was the last one, or one too many.
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
