// SPDX-License-Identifier: BSD-2-Clause
// References to the cells of the registry: registry_cells.h. To imitate a thread that
// stalls between two steps, the test does the steps of another thread between them.
#include "registry_cells.h"

#include <gtest/gtest.h>

#include "registry_lookup.h"

namespace kq::registry {
namespace {

// A cell without a kqueue in it: only its word is used here.
class RegistryCells : public testing::Test {
  protected:
    void become(State state, uint32_t references) {
        cell.word = word_of(state) + references * kReference;
    }
    // As find() does it that has read the number before it led elsewhere.
    void come_late() { cell.word.fetch_add(kReference); }

    Cell cell;
};

TEST_F(RegistryCells, TheLastReferenceOfARetiredCellDestroysIt) {
    become(State::retired, 2);
    EXPECT_FALSE(take_reference_off(cell));
    EXPECT_TRUE(take_reference_off(cell));
    EXPECT_EQ(state_of(cell.word.load()), State::dying);
}

TEST_F(RegistryCells, AReferenceToALiveCellDoesNot) {
    become(State::live, 2);
    EXPECT_FALSE(take_reference_off(cell));
    EXPECT_FALSE(take_reference_off(cell));
}

// In place only what destroys nothing: the rest is release()'s.
TEST_F(RegistryCells, InPlaceTheLastReferenceOfARetiredCellIsNotTakenOff) {
    become(State::retired, 2);
    EXPECT_TRUE(release_among_threads(cell.kqueue()));
    EXPECT_EQ(cell.word.load(), word_of(State::retired) + kReference);
    EXPECT_FALSE(release_among_threads(cell.kqueue()));
    EXPECT_EQ(cell.word.load(), word_of(State::retired) + kReference);
    become(State::live, 1);
    EXPECT_TRUE(release_among_threads(cell.kqueue()));
    EXPECT_EQ(cell.word.load(), word_of(State::live));
    EXPECT_FALSE(release_among_threads(cell.kqueue()));
    EXPECT_EQ(cell.word.load(), word_of(State::live));
}

// Two threads destroyed one kqueue, and the process crashed: one took the last reference off, and
// before it had said that it destroys, a find() of the number came and went.
TEST_F(RegistryCells, ALateReferenceNeverDestroys) {
    for (const State state : {State::dying, State::destroying, State::free}) {
        become(state, 0);
        come_late();
        EXPECT_FALSE(take_reference_off(cell)) << static_cast<int>(state);
        EXPECT_EQ(cell.word.load(), word_of(state));
    }
}

// It may also be the last one that goes.
TEST_F(RegistryCells, ALateReferenceToARetiredCellIsOneLikeOthers) {
    become(State::retired, 1);
    come_late();
    EXPECT_FALSE(take_reference_off(cell));
    EXPECT_TRUE(take_reference_off(cell));
}

}  // namespace
}  // namespace kq::registry
