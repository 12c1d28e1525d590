// SPDX-License-Identifier: BSD-2-Clause
// Renewal: when it is due, and what is different afterwards. Also the promises of Announcing.
#include "renewal.h"

#include <gtest/gtest.h>

#include "announcing.h"

namespace kq {
namespace {

TEST(Renewal, IsDueAfterSomeStaleReports) {
    Renewal renewal;
    EXPECT_FALSE(renewal.is_due(0));
    EXPECT_FALSE(renewal.is_due(7));
    EXPECT_TRUE(renewal.is_due(8));
    renewal.begin(8);
    EXPECT_FALSE(renewal.is_due(15));
    EXPECT_TRUE(renewal.is_due(16));
}

TEST(Renewal, IsTriedMuchLaterIfItWasRefused) {
    Renewal renewal;
    renewal.refuse(8);
    EXPECT_FALSE(renewal.is_due(1007));
    EXPECT_TRUE(renewal.is_due(1008));
}

// It costs as much as registering them.
TEST(Renewal, IsDueLaterWithMoreDescriptors) {
    Renewal renewal;
    renewal.finish(8, 400, 0, false);
    EXPECT_FALSE(renewal.is_due(115));
    EXPECT_TRUE(renewal.is_due(116));
}

TEST(Renewal, CountsMayWrap) {
    Renewal renewal;
    renewal.begin(UINT32_MAX - 2);  // due at 5
    EXPECT_FALSE(renewal.is_due(UINT32_MAX));
    EXPECT_FALSE(renewal.is_due(4));
    EXPECT_TRUE(renewal.is_due(5));
}

TEST(Renewal, LingersForTwoTicks) {
    Renewal renewal;
    EXPECT_FALSE(renewal.lingers());
    renewal.finish(8, 0, 100, true);
    EXPECT_TRUE(renewal.lingers());
    EXPECT_TRUE(renewal.still_lingers(101));
    EXPECT_FALSE(renewal.still_lingers(102));
    EXPECT_FALSE(renewal.lingers());
}

TEST(Renewal, APlatformWithoutItIsNeverDue) {
    EXPECT_FALSE(NoRenewal::is_due(1000000));
    EXPECT_FALSE(NoRenewal::lingers() || NoRenewal::still_lingers(1) || NoRenewal::edges_are_old());
}

// A ring that was collected leaves a look to be taken if another one is on its way.
TEST(Announcing, APromisedRingIsHeardByWhoSeesThatItIsNotNeeded) {
    Announcing announcing;
    PromisedRings promised;
    const ActiveQueue active;
    EXPECT_TRUE(announcing.is_quiet());
    EXPECT_FALSE(announcing.take_vain_ring(promised, active));
    promised.promise();
    announcing.note_heard(promised);
    EXPECT_FALSE(announcing.is_quiet());
    EXPECT_TRUE(announcing.take_vain_ring(promised, active));
    EXPECT_TRUE(announcing.is_quiet());
    promised.done();
    EXPECT_FALSE(promised.any());
    EXPECT_TRUE(promised.was_called_off());
    EXPECT_FALSE(promised.was_called_off());  // it is forgotten
}

}  // namespace
}  // namespace kq
