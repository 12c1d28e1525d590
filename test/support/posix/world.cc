// SPDX-License-Identifier: BSD-2-Clause
#include "support/world.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace kqtest::world {

bool on_wine() {
    return false;
}

bool passes_every_time(const std::string& test) {
    std::error_code error;
    const std::string self = std::filesystem::read_symlink("/proc/self/exe", error);
    const std::string again =
        "export GTEST_TOTAL_SHARDS=1 GTEST_SHARD_INDEX=0 KQ_NO_GAPS=1\n"
        "for i in 1 2 3 4 5 6 7 8 9 10; do '" +
        self + "' '--gtest_filter=" + test + "' >/dev/null 2>&1 || exit 1; done";
    return std::system(again.c_str()) == 0;
}

}  // namespace kqtest::world
