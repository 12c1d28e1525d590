// SPDX-License-Identifier: BSD-2-Clause
// Things that can be watched, made ready and made idle, for tests of rules that hold for all of
// them.
//
//     class Level : public KqTest, public testing::WithParamInterface<SourceKind> {};
//     TEST_P(Level, R105_...) { const auto source = GetParam().make(); ... }
//     INSTANTIATE_TEST_SUITE_P(Of, Level, testing::ValuesIn(level_sources()), SourceKind::name_of);
#ifndef KQTEST_SOURCE_H
#define KQTEST_SOURCE_H

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/kq.h"

namespace kqtest {

// A descriptor and a filter. New ones are idle.
class Source {
  public:
    Source() = default;
    Source(const Source&) = delete;
    virtual ~Source() = default;

    virtual int filter() const = 0;
    virtual int ident() const = 0;
    virtual void ready() = 0;  // from idle, or once more
    virtual void idle() = 0;
    virtual std::optional<intptr_t> data() const = 0;  // to report now, if it can be known

    Event change(int flags, void* udata = nullptr) const {
        return kqtest::change(ident(), filter(), flags, 0, 0, udata);
    }
    // One event of this source with these flags, and nothing else.
    void expect_report(const std::vector<Event>& events, int flags, void* udata = nullptr,
                       const char* file = __builtin_FILE(), int line = __builtin_LINE()) const;
};

struct SourceKind {
    const char* name;
    std::unique_ptr<Source> (*make)();
    static std::string name_of(const testing::TestParamInfo<SourceKind>& info) {
        return info.param.name;
    }
};

std::ostream& operator<<(std::ostream& out, const SourceKind& kind);

// Pipes, sockets, a file and a kqueue, with EVFILT_READ and EVFILT_WRITE. They stay ready until
// they are made idle.
std::vector<SourceKind> level_sources();

}  // namespace kqtest

#endif
