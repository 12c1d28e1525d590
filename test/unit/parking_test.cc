// SPDX-License-Identifier: BSD-2-Clause
// ParkedKnotes: two lists, and looking at each knote of one of them.
#include "parking.h"

#include <gtest/gtest.h>

#include <vector>

namespace kq {
namespace {

class ParkedKnotesTest : public testing::Test {
  protected:
    ParkedKnotesTest() {
        for (uintptr_t i = 0; i < 5; i++)
            notes[i].ident = i;
    }

    // Which are looked at; `again` are parked once more, `found` are true.
    std::vector<uintptr_t> look(Parking where, int most, uintptr_t found = 99, bool again = true) {
        std::vector<uintptr_t> idents;
        parked.look_at(where, most, [&](Knote& kn) {
            EXPECT_FALSE(kn.has(kParked));
            idents.push_back(kn.ident);
            if (again) parked.add(kn, where);
            return kn.ident == found;
        });
        return idents;
    }

    ParkedKnotes parked;
    Knote notes[5];
};

TEST_F(ParkedKnotesTest, TwoLists) {
    EXPECT_TRUE(parked.empty());
    parked.add(notes[0], Parking::idle);
    parked.add(notes[1], Parking::recheck);
    EXPECT_FALSE(parked.empty());
    EXPECT_EQ(look(Parking::idle, ParkedKnotes::kAll), (std::vector<uintptr_t>{0}));
    EXPECT_EQ(look(Parking::recheck, ParkedKnotes::kAll), (std::vector<uintptr_t>{1}));
    parked.remove(notes[0]);
    EXPECT_FALSE(parked.empty());
    parked.remove(notes[1]);
    parked.remove(notes[1]);  // is on none
    EXPECT_TRUE(parked.empty());
    EXPECT_FALSE(notes[1].has(kParked));
}

// Each knote is looked at once, even if it is parked again during the look.
TEST_F(ParkedKnotesTest, EachIsLookedAtOnce) {
    for (Knote& kn : notes)
        parked.add(kn, Parking::idle);
    EXPECT_EQ(look(Parking::idle, ParkedKnotes::kAll), (std::vector<uintptr_t>{0, 1, 2, 3, 4}));
    EXPECT_EQ(look(Parking::idle, ParkedKnotes::kAll, 99, false).size(), 5u);
    EXPECT_TRUE(parked.empty());
    EXPECT_TRUE(look(Parking::idle, ParkedKnotes::kAll).empty());
}

// And begins where the last one ended.
TEST_F(ParkedKnotesTest, ALookEndsAfterSoManyInARow) {
    for (Knote& kn : notes)
        parked.add(kn, Parking::idle);
    EXPECT_EQ(look(Parking::idle, 2), (std::vector<uintptr_t>{0, 1}));
    EXPECT_EQ(look(Parking::idle, 2, 3), (std::vector<uintptr_t>{2, 3, 4}));  // one was true
    EXPECT_EQ(look(Parking::idle, 2), (std::vector<uintptr_t>{0, 1}));
    for (Knote& kn : notes)
        parked.remove(kn);
}

TEST_F(ParkedKnotesTest, TheDeadlineIsWhatWasSet) {
    EXPECT_EQ(parked.deadline(), kForever);
    parked.set_deadline(5);
    EXPECT_EQ(parked.deadline(), 5);
}

}  // namespace
}  // namespace kq
