// SPDX-License-Identifier: BSD-2-Clause
#include "support/kq.h"

#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <sstream>
#include <thread>
#include <utility>

#include "support/library.h"

namespace kqtest {
namespace {

struct Name {
    int value;
    const char* name;
};

constexpr Name kFilters[] = {
    {EVFILT_READ, "READ"},           {EVFILT_WRITE, "WRITE"},   {EVFILT_VNODE, "VNODE"},
    {EVFILT_PROC, "PROC"},           {EVFILT_SIGNAL, "SIGNAL"}, {EVFILT_TIMER, "TIMER"},
    {EVFILT_USER, "USER"},
#ifdef EVFILT_LIBKQUEUE
    {EVFILT_LIBKQUEUE, "LIBKQUEUE"},
#endif
};

constexpr Name kFlags[] = {
    {EV_ADD, "ADD"},         {EV_DELETE, "DELETE"},     {EV_ENABLE, "ENABLE"},
    {EV_DISABLE, "DISABLE"}, {EV_ONESHOT, "ONESHOT"},   {EV_CLEAR, "CLEAR"},
    {EV_RECEIPT, "RECEIPT"}, {EV_DISPATCH, "DISPATCH"}, {EV_ERROR, "ERROR"},
    {EV_EOF, "EOF"},
};

std::string filter_name(int filter) {
    for (const Name& n : kFilters)
        if (n.value == filter) return n.name;
    return std::to_string(filter);
}

std::string flag_names(int flags) {
    std::string text;
    for (const Name& n : kFlags) {
        if ((flags & n.value) == 0) continue;
        text += (text.empty() ? "" : "|") + std::string(n.name);
        flags &= ~n.value;
    }
    if (flags != 0 || text.empty()) {
        std::ostringstream rest;
        rest << (text.empty() ? "" : "|") << "0x" << std::hex << flags;
        text += rest.str();
    }
    return text;
}

std::string list(const std::vector<Event>& events) {
    std::string text = std::to_string(events.size()) + " entries";
    for (const Event& e : events)
        text += "\n  " + to_string(e);
    return text;
}

#define KQTEST_FAIL_AT(file, line) \
    GTEST_MESSAGE_AT_(file, line, "", ::testing::TestPartResult::kNonFatalFailure)

void reap_closed_kqueues() {
#ifdef LIBKQUEUE
    libkqueue_drain_pending_close();
#endif
}

// KQ_TEST_PAUSE_MS=60: each call of a test comes so much later. So what comes late by itself comes
// between two calls, for example a delayed ACK of TCP (40 ms). A test that fails then, and does not
// measure time, relies on a fast machine.
void pause_if_asked() {
    static const char* const length = std::getenv("KQ_TEST_PAUSE_MS");
    if (length != nullptr) std::this_thread::sleep_for(milliseconds{std::atoi(length)});
}

// At the first kqueue() the library may open one descriptor for the whole process, and keep it.
void warm_up() {
    static const bool once = [] {
        ::close(::kqueue());
        reap_closed_kqueues();
        return true;
    }();
    static_cast<void>(once);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Result& result) {
    out << "returned " << result.ret;
    if (result.ret < 0) out << " (" << std::strerror(result.error) << ")";
    return out << ", " << list(result.events);
}

Event change(Ident ident, int filter, int flags, unsigned fflags, intptr_t data, void* udata) {
    Event event{};
    event.ident = ident.value;
    event.filter = static_cast<decltype(event.filter)>(filter);
    event.flags = static_cast<decltype(event.flags)>(flags);
    event.fflags = fflags;
    event.data = data;
    event.udata = udata;
    return event;
}

void* tag(uintptr_t number) {
    return reinterpret_cast<void*>(number);
}

std::string to_string(const Event& event) {
    std::ostringstream out;
    out << "{ident=" << event.ident << ", filter=" << filter_name(event.filter)
        << ", flags=" << flag_names(event.flags) << ", fflags=0x" << std::hex << event.fflags
        << std::dec << ", data=" << event.data;
    if ((event.flags & EV_ERROR) != 0 && event.data > 0)
        out << " (" << std::strerror(static_cast<int>(event.data)) << ")";
    out << ", udata=" << event.udata << "}";
    return out.str();
}

bool same(const Event& a, const Event& b) {
    return a.ident == b.ident && a.filter == b.filter && a.flags == b.flags &&
           a.fflags == b.fflags && a.data == b.data && a.udata == b.udata;
}

milliseconds since(Clock::time_point start) {
    return std::chrono::floor<milliseconds>(now() - start);
}

timespec to_timespec(std::chrono::nanoseconds time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    timespec ts{};
    ts.tv_sec = static_cast<time_t>(seconds.count());
    ts.tv_nsec = static_cast<decltype(ts.tv_nsec)>((time - seconds).count());
    return ts;
}

Queue::Queue() : fd_(::kqueue()) {
    if (!fd_) ADD_FAILURE() << "kqueue: " << std::strerror(errno);
}

bool Queue::readable() const {
    let_the_model_see(fd());
    return wait_readable(fd(), milliseconds{0});
}

int Queue::apply(const std::vector<Event>& changes) const {
    const Result result = call(changes, 0, kForever);
    if (result.ret > 0) ADD_FAILURE() << "kevent() without an eventlist " << result;
    return result.error;
}

std::vector<Event> Queue::collect(int max, milliseconds limit) const {
    const timespec timeout = to_timespec(limit);
    Result result = call({}, max, &timeout);
    if (result.ret < 0) ADD_FAILURE() << "kevent: " << std::strerror(result.error);
    return std::move(result.events);
}

Result Queue::call(const std::vector<Event>& changes, int nevents, const timespec* timeout) const {
    pause_if_asked();
    // One entry more than kevent() is told of: it must stay as it is.
    const Event guard = change(INT_MAX, 0x5a5a, 0x5a5a, 0x5a5a5a5a, 0x5a5a5a5a, tag(0x5a5a5a5a));
    std::vector<Event> events(static_cast<size_t>(nevents < 0 ? 0 : nevents) + 1, guard);
    Result result;
    errno = 0;
    result.ret =
        ::kevent(fd(), changes.empty() ? nullptr : changes.data(), static_cast<int>(changes.size()),
                 nevents == 0 ? nullptr : events.data(), nevents, timeout);
    result.error = result.ret < 0 ? errno : 0;
    if (result.ret < 0 && result.error == 0) ADD_FAILURE() << "kevent() failed without an errno";
    if (!same(events.back(), guard)) ADD_FAILURE() << "kevent() wrote more than nevents entries";
    if (result.ret > std::max(nevents, 0)) {
        ADD_FAILURE() << "kevent() returned " << result.ret << " with nevents " << nevents;
        result.ret = std::max(nevents, 0);
    }
    events.resize(static_cast<size_t>(std::max(result.ret, 0)));
    result.events = std::move(events);
    return result;
}

std::vector<Event> collect_all(const Queue& q, size_t count) {
    std::vector<Event> all;
    while (all.size() < count) {
        const std::vector<Event> some = q.wait();
        if (some.empty()) break;  // the test fails
        all.insert(all.end(), some.begin(), some.end());
    }
    return all;
}

void expect_event(const Event& event, Ident ident, int filter, int flags, unsigned fflags,
                  intptr_t data, void* udata, const char* file, int line) {
    const Event expected = change(ident, filter, flags, fflags, data, udata);
    if (!same(event, expected))
        KQTEST_FAIL_AT(file, line)
            << "expected " << to_string(expected) << "\nbut got  " << to_string(event);
}

void expect_only(const std::vector<Event>& events, Ident ident, int filter, int flags,
                 unsigned fflags, intptr_t data, void* udata, const char* file, int line) {
    if (events.size() == 1)
        return expect_event(events[0], ident, filter, flags, fflags, data, udata, file, line);
    const Event expected = change(ident, filter, flags, fflags, data, udata);
    std::vector<Event> others;
    std::copy_if(events.begin(), events.end(), std::back_inserter(others),
                 [&](const Event& e) { return !same(e, expected); });
    if (others.size() + 1 == events.size() && skipped_edges_told_again(others)) return;
    KQTEST_FAIL_AT(file, line) << "expected " << to_string(expected) << " alone\nbut got  "
                               << list(events);
}

void expect_none(const std::vector<Event>& events, const char* file, int line) {
    if (!events.empty() && !skipped_edges_told_again(events))
        KQTEST_FAIL_AT(file, line) << "expected no event\nbut got  " << list(events);
}

namespace {

// The value of an option of a socket that EVFILT_READ reports; -1 if it is no such event.
int option_of_read(const Event& e, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    if (e.filter != EVFILT_READ) return -1;
    if (::getsockopt(static_cast<int>(e.ident), SOL_SOCKET, name, &value, &size) != 0) return -1;
    return value;
}

// L-UNIX-DGRAM: on Linux these alone are reported again.
bool is_read_of_datagrams(const Event& e) {
    return option_of_read(e, SO_TYPE) == SOCK_DGRAM;
}

// P-EDGE: listeners are told again earlier than others.
bool is_listener(const Event& e) {
    return backend() == "posix" && option_of_read(e, SO_ACCEPTCONN) == 1;
}

}  // namespace

bool skipped_edges_told_again(const std::vector<Event>& events) {
    const auto is_edge = [](const Event& e) {
        return (e.filter == EVFILT_READ || e.filter == EVFILT_WRITE) &&
               (e.flags & (EV_CLEAR | EV_ERROR)) == EV_CLEAR &&
               (backend() != "linux" || is_read_of_datagrams(e));
    };
    if (events.empty() || !std::all_of(events.begin(), events.end(), is_edge)) return false;
    return skipped_told_again(events);
}

bool skipped_told_again(const std::vector<Event>& events) {
    const bool listeners = std::all_of(events.begin(), events.end(), is_listener);
    const milliseconds told_again{listeners ? 20 : 250};  // BUGS.md
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    if (test == nullptr) return false;
    const auto today = std::chrono::system_clock::now().time_since_epoch();
    const milliseconds lasted = std::chrono::duration_cast<milliseconds>(today) -
                                milliseconds{test->result()->start_timestamp()};
    if (lasted < told_again) return false;
    const auto skip = [&] {
        GTEST_SKIP() << "P-EDGE, L-UNIX-DGRAM: told again after " << lasted.count()
                     << " ms: " << list(events);
    };
    skip();
    return true;
}

void expect_answers(const Result& result, const std::vector<Answer>& answers, const char* file,
                    int line) {
    std::vector<Event> expected;
    for (const Answer& a : answers) {
        Event e = a.change;
        e.flags = static_cast<decltype(e.flags)>(e.flags | EV_ERROR);
        e.data = a.error;
        expected.push_back(e);
    }
    if (!std::equal(result.events.begin(), result.events.end(), expected.begin(), expected.end(),
                    same))
        KQTEST_FAIL_AT(file, line) << "expected " << list(expected) << "\nbut kevent() " << result;
}

void expect_failed(const Result& result, int error, const char* file, int line) {
    if (result.ret != -1 || result.error != error)
        KQTEST_FAIL_AT(file, line)
            << "expected -1 (" << std::strerror(error) << ")\nbut kevent() " << result;
}

void expect_silent(const Queue& queue, const char* file, int line) {
    const Result result = queue.call({}, 16, &kAtOnce);
    if (result.ret != 0 && !skipped_edges_told_again(result.events))
        KQTEST_FAIL_AT(file, line) << "expected no event\nbut kevent() " << result;
}

bool has_knote(const Queue& queue, Ident ident, int filter) {
    const int error = queue.apply(change(ident, filter, 0));
    if (error != 0 && error != ENOENT) ADD_FAILURE() << "has_knote: " << std::strerror(error);
    return error == 0;
}

std::vector<uintptr_t> idents(const std::vector<Event>& events) {
    std::vector<uintptr_t> result;
    for (const Event& e : events)
        result.push_back(e.ident);
    return result;
}

LeakCheck::LeakCheck() {
    warm_up();
    reap_closed_kqueues();
    before_ = open_descriptors();
}

LeakCheck::~LeakCheck() {
    reap_closed_kqueues();
    for (const auto& [number, what] : open_descriptors())
        if (!before_.contains(number))
            ADD_FAILURE() << "leaked descriptor " << number << ": " << what;
}

}  // namespace kqtest

void PrintTo(const struct kevent& event, std::ostream* out) {
    *out << kqtest::to_string(event);
}
