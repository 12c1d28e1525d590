// SPDX-License-Identifier: BSD-2-Clause
// List: order, unlinking of any element, and which misuse it refuses.
#include "list.h"

#include <gtest/gtest.h>

#include <vector>

namespace kq {
namespace {

struct Element : Link {
    explicit Element(int n) : number(n) {}
    int number;
};

std::vector<int> take_all(List<Element>& list) {
    std::vector<int> numbers;
    while (!list.empty()) {
        Element* first = list.front();
        numbers.push_back(first->number);
        first->unlink();
    }
    return numbers;
}

TEST(List, IsAFifo) {
    List<Element> list;
    EXPECT_TRUE(list.empty());
    Element a(1), b(2), c(3);
    list.push_back(&b);
    list.push_back(&a);
    list.push_back(&c);
    EXPECT_FALSE(list.empty());
    EXPECT_EQ(take_all(list), (std::vector<int>{2, 1, 3}));
    EXPECT_TRUE(list.empty());
}

TEST(List, UnlinksFromFrontMiddleAndBack) {
    List<Element> list;
    Element a(1), b(2), c(3), d(4), e(5);
    for (Element* x : {&a, &b, &c, &d, &e})
        list.push_back(x);
    for (Element* x : {&a, &c, &e}) {
        EXPECT_TRUE(x->linked());
        x->unlink();
        EXPECT_FALSE(x->linked());
    }
    EXPECT_EQ(take_all(list), (std::vector<int>{2, 4}));
}

// What is appended after the marker is behind it.
TEST(List, AWalkEndsAtItsMarker) {
    List<Element> list;
    Element a(1), b(2);
    list.push_back(&a);
    Link marker;
    list.mark(marker);
    list.push_back(&b);
    EXPECT_EQ(list.first_before(marker), &a);
    a.unlink();
    EXPECT_EQ(list.first_before(marker), nullptr);
    marker.unlink();
    EXPECT_EQ(take_all(list), (std::vector<int>{2}));
}

TEST(List, ElementsMoveBetweenLists) {
    List<Element> one;
    List<Element> two;
    Element a(1), b(2);
    one.push_back(&a);
    one.push_back(&b);
    a.unlink();
    two.push_back(&a);
    a.unlink();
    one.push_back(&a);
    EXPECT_EQ(take_all(one), (std::vector<int>{2, 1}));
    EXPECT_TRUE(two.empty());
}

TEST(ListDeathTest, RefusesMisuse) {
    List<Element> list;
    Element a(1);
    EXPECT_DEATH(a.unlink(), "broken invariant: linked\\(\\)");
    EXPECT_DEATH((void)list.front(), "broken invariant: !empty\\(\\)");
    list.push_back(&a);
    EXPECT_DEATH(list.push_back(&a), "broken invariant: !link->linked\\(\\)");
}

}  // namespace
}  // namespace kq
