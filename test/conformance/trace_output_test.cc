// SPDX-License-Identifier: BSD-2-Clause
// Tracing: where the lines go (NOTE_DEBUG_FUNC), and how they begin (NOTE_DEBUG_PREFIX).
#include <stdarg.h>
#include <sys/event.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

#include "support/kq.h"
#include "support/thread.h"
#include "support/trace.h"

namespace kqtest {
namespace {

class TraceOutput : public TraceTest {};

std::string* heard = nullptr;
extern "C" {
[[gnu::format(printf, 1, 2)]] void hear_line(const char* format, ...);
}
extern "C" void hear_line(const char* format, ...) {
    char line[1000];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    *heard += line;
}
extern "C" void not_this_one(const char*, ...) {
    ADD_FAILURE() << "this one was in udata, beside one in data";
}

// FreeRADIUS passes the function in `data`, because the C libkqueue does not look at udata.
TEST_F(TraceOutput, LinesGoToTheFunctionThatWasSet) {
    void* const function = reinterpret_cast<void*>(&hear_line);
    const auto number = reinterpret_cast<intptr_t>(function);
    const struct {
        intptr_t data;
        void* udata;
    } ways[] = {{0, function}, {number, nullptr}, {number, reinterpret_cast<void*>(&not_this_one)}};
    const auto add = [this] { EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD)), 0); };
    for (const auto& way : ways) {
        std::string lines;
        heard = &lines;
        const intptr_t before = set(NOTE_DEBUG_FUNC, way.data, way.udata);
        EXPECT_EQ(traced(kEvents, add), "") << "nothing on stderr";
        EXPECT_TRUE(says(lines, "KQ traces at level 2 ")) << lines;
        EXPECT_TRUE(says(lines, ": change {ident ")) << lines;
        EXPECT_EQ(set(NOTE_DEBUG_FUNC, before), number);
        lines.clear();
        EXPECT_NE(traced(kEvents, add), "") << "back on stderr";
        EXPECT_EQ(lines, "");
    }
}

TEST_F(TraceOutput, ThePrefixIsCopied) {
    for (const bool in_data : {false, true}) {
        {
            char buffer[] = "of this test";
            set(NOTE_DEBUG_PREFIX, in_data ? reinterpret_cast<intptr_t>(buffer) : 0,
                in_data ? nullptr : buffer);
            std::memset(buffer, 'x', sizeof buffer - 1);
        }
        EXPECT_EQ(without_times(traced_call(kTrouble, {}, -1, &kAtOnce)),
                  "of this test " + std::to_string(q.fd()) + kRefused);
        EXPECT_EQ(set(NOTE_DEBUG_PREFIX, 0), 0);
        EXPECT_EQ(without_times(traced_call(kTrouble, {}, -1, &kAtOnce)),
                  "KQ " + std::to_string(q.fd()) + kRefused);
    }
}

// The library does not read the prefix behind the part that it copies.
TEST_F(TraceOutput, ALongPrefixIsCut) {
    constexpr size_t kMost = 63;
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    void* const memory =
        ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    ASSERT_EQ(::mprotect(static_cast<char*>(memory) + page, page, PROT_NONE), 0);
    char* const text = static_cast<char*>(memory) + page - kMost;
    std::memset(text, 'p', kMost);
    set(NOTE_DEBUG_PREFIX, 0, text);
    const std::string said = traced_call(kTrouble, {}, -1, &kAtOnce);
    set(NOTE_DEBUG_PREFIX, 0);
    ASSERT_EQ(::munmap(memory, 2 * page), 0);
    EXPECT_EQ(without_times(said),
              std::string(kMost, 'p') + " " + std::to_string(q.fd()) + kRefused);
}

std::atomic<int> wrong_lines{0};
std::atomic<int> right_lines{0};
extern "C" void check_prefix(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const char* const prefix = va_arg(arguments, const char*);
    const size_t length = std::strlen(prefix);
    const bool right = std::strcmp(format, "%s %s\n") == 0 && length <= 63 &&
                       (std::strcmp(prefix, "KQ") == 0 || std::strspn(prefix, "ab") == length);
    (right ? right_lines : wrong_lines)++;
    va_end(arguments);
}

// Under ThreadSanitizer it also shows that nothing is read while it is written.
TEST_F(TraceOutput, ThePrefixIsSetWhileOthersTrace) {
    const intptr_t before = set(NOTE_DEBUG_FUNC, reinterpret_cast<intptr_t>(&check_prefix));
    set(NOTE_DEBUG, kEvents);
    {
        std::atomic<int> setting{2};
        std::vector<Thread> threads;
        for (const char c : {'a', 'b'})
            threads.emplace_back([&setting, c] {
                const Queue own;
                for (int i = 1; i <= 300; i++) {
                    char text[100] = "";
                    std::memset(text, c, static_cast<size_t>(i) % (sizeof text - 1));
                    const Event set =
                        change(0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_DEBUG_PREFIX, 0, text);
                    EXPECT_EQ(own.call({set}, 1, &kAtOnce).ret, 1);
                }
                setting--;
            });
        for (int i = 0; i < 2; i++)
            threads.emplace_back([&setting] {
                const Queue own;
                while (setting > 0)
                    EXPECT_EQ(own.apply(change(1, EVFILT_USER, EV_ADD)), 0);
            });
    }
    set(NOTE_DEBUG, kOff);
    set(NOTE_DEBUG_PREFIX, 0);
    set(NOTE_DEBUG_FUNC, before);
    EXPECT_EQ(wrong_lines, 0);
    EXPECT_GT(right_lines, 600);
}

}  // namespace
}  // namespace kqtest
