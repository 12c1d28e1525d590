// SPDX-License-Identifier: BSD-2-Clause
// Handle: kind, index and generation in 64 bits. Also kept_flags() and the hash key of knotes.
#include "handle.h"

#include <gtest/gtest.h>

#include "knote.h"

namespace kq {
namespace {

TEST(Handle, KeepsItsParts) {
    for (const auto kind : {Handle::Kind::descriptor, Handle::Kind::announcement,
                            Handle::Kind::timers, Handle::Kind::files, Handle::Kind::lane})
        for (const uint32_t index : {0u, 1u, 0x7fffffffu, 0xffffffffu})
            for (const uint32_t generation : {0u, 1u, Handle::kGenerations}) {
                const Handle handle(kind, index, generation);
                EXPECT_EQ(handle.kind(), kind);
                EXPECT_EQ(handle.index(), index);
                EXPECT_EQ(handle.generation(), generation);
                EXPECT_EQ(Handle(handle.bits()).bits(), handle.bits());
            }
}

TEST(Handle, NoneIsAllZero) {
    EXPECT_EQ(Handle().bits(), 0u);
    EXPECT_EQ(Handle().kind(), Handle::Kind::none);
}

TEST(Handle, GenerationsWrapWithoutTouchingTheRest) {
    const Handle handle(Handle::Kind::files, 7, Handle::kGenerations + 1);
    EXPECT_EQ(handle.kind(), Handle::Kind::files);
    EXPECT_EQ(handle.index(), 7u);
    EXPECT_EQ(handle.generation(), 0u);
    // A generation that only differs above 28 bits makes the same handle.
    EXPECT_EQ(Handle(Handle::Kind::files, 7, ~0u).bits(),
              Handle(Handle::Kind::files, 7, Handle::kGenerations).bits());
}

TEST(Handle, GenerationsDiffer) {
    EXPECT_NE(Handle(Handle::Kind::descriptor, 3, 1).bits(),
              Handle(Handle::Kind::descriptor, 3, 2).bits());
    EXPECT_NE(Handle(Handle::Kind::descriptor, 3, 1).bits(),
              Handle(Handle::Kind::descriptor, 4, 1).bits());
}

// D-2, D-44: how a knote behaves and EV_ADD are kept, not what was done to it.
TEST(KeptFlags, NatureOnly) {
    EXPECT_EQ(kept_flags(EV_ADD), EV_ADD);
    EXPECT_EQ(kept_flags(EV_ADD | EV_ENABLE), EV_ADD);
    EXPECT_EQ(kept_flags(EV_ADD | EV_DISABLE), EV_ADD);
    EXPECT_EQ(kept_flags(EV_ADD | EV_DELETE), EV_ADD);
    EXPECT_EQ(kept_flags(0xffffu & ~0xf00u),
              EV_ADD | EV_ONESHOT | EV_CLEAR | EV_RECEIPT | EV_DISPATCH);
    EXPECT_EQ(kept_flags(EV_ADD | EV_EOF | EV_ERROR | EV_FLAG1 | 0x1000u), EV_ADD);
}

TEST(KnoteKey, FiltersOfOneIdentDiffer) {
    EXPECT_NE(Knote::hash_key(EVFILT_USER, 1), Knote::hash_key(EVFILT_TIMER, 1));
    EXPECT_NE(Knote::hash_key(EVFILT_USER, 1), Knote::hash_key(EVFILT_USER, 2));
    Knote kn;
    kn.filter = EVFILT_TIMER;
    kn.ident = UINTPTR_MAX;
    EXPECT_EQ(kn.hash_key(), Knote::hash_key(EVFILT_TIMER, UINTPTR_MAX));
}

TEST(KnoteStatus, BitsAreIndependent) {
    Knote kn;
    for (const Status bit : {kActive, kQueued, kDisabled, kBacked, kParked}) {
        EXPECT_FALSE(kn.has(bit));
        kn.set(bit);
        EXPECT_TRUE(kn.has(bit));
    }
    kn.clear(kQueued);
    EXPECT_FALSE(kn.has(kQueued));
    EXPECT_TRUE(kn.has(kActive) && kn.has(kDisabled) && kn.has(kBacked) && kn.has(kParked));
}

}  // namespace
}  // namespace kq
