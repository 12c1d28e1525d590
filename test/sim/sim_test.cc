// SPDX-License-Identifier: BSD-2-Clause
// The class Queue of the tests. See sim_test.h.
#include "sim_test.h"

#include <cstring>

#include "scan.h"

namespace sim {
namespace {

bool is_specific(const struct kevent& event) {
    return (event.flags & EV_UDATA_SPECIFIC) != 0;
}

}  // namespace
namespace {

// The kqueue's own counts. An explicit instantiation may name private members.
struct ActiveTag {
    friend kq::ActiveQueue kq::KnoteQueue::*member(ActiveTag);
};
template <class Tag, auto Member>
struct Grant {
    friend kq::ActiveQueue kq::KnoteQueue::*member(Tag) { return Member; }
};

template struct Grant<ActiveTag, &kq::KnoteQueue::active_>;

}  // namespace

struct kevent change(uintptr_t ident, int filter, unsigned flags, unsigned fflags, intptr_t data,
                     void* udata) {
    struct kevent kev;
    memset(&kev, 0, sizeof kev);
    EV_SET(&kev, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
           data, udata);
    return kev;
}

std::string show(const Kevents& events) {
    std::string text = std::to_string(events.size()) + " events:";
    for (const struct kevent& kev : events) {
        char line[128];
        snprintf(line, sizeof line, " {%ld %d flags %#x fflags %#x data %ld}",
                 static_cast<long>(kev.ident), kev.filter, kev.flags, kev.fflags,
                 static_cast<long>(kev.data));
        text += line;
    }
    return text;
}

std::vector<int> idents(const Kevents& events) {
    std::vector<int> numbers;
    for (const struct kevent& kev : events)
        numbers.push_back(static_cast<int>(kev.ident));
    return numbers;
}

intptr_t only_data(const Kevents& events) {
    if (events.size() == 1) return events[0].data;
    ADD_FAILURE() << "not one event, but " << show(events);
    return -1000;
}

Queue::Queue() {
    EXPECT_EQ(kqueue_.open(), Errno::ok);
}

Queue::~Queue() {
    if (kqueue_.exists()) world().close(kqueue_.descriptor());
}

int Queue::queued() {
    return (kqueue_.*member(ActiveTag())).size();
}

int Queue::unbacked() {
    return (kqueue_.*member(ActiveTag())).unbacked();
}

void Queue::check_promise() {
    if (!kqueue_.exists()) return;
    const bool announced = backend().ringing() || backend().held();
    // A ring for an event that was taken back may stay unheard while the kernel has more reports.
    const bool excused = backend().ringing() && queued() > 0;
    EXPECT_TRUE(announced == (unbacked() > 0) || excused)
        << (announced ? "" : "not ") << "announced; queued " << queued() << ", unbacked "
        << unbacked();
    EXPECT_FALSE(backend().ringing() && backend().held());
}

Errno Queue::apply(const Kevents& changes) {
    const kq::Result<int> result =
        kqueue_.run(changes.data(), static_cast<int>(changes.size()), nullptr, 0, nullptr, nullptr);
    check_promise();
    return result.error();
}

Errno Queue::change(uintptr_t ident, int filter, unsigned flags, unsigned fflags, intptr_t data,
                    void* udata) {
    return apply({sim::change(ident, filter, flags, fflags, data, udata)});
}

Kevents Queue::wait(int most, Nanos timeout, const Kevents& changes) {
    const timespec ts = kq::to_timespec(timeout);
    return wait_until(timeout == kForever ? nullptr : &ts, most, changes);
}

Kevents Queue::wait_until(const timespec* timeout, int most, const Kevents& changes) {
    // One entry more than is allowed. It must not be changed.
    Kevents events(static_cast<size_t>(most) + 1, sim::change(77, 77, 77));
    const kq::Result<int> result = kqueue_.run(changes.data(), static_cast<int>(changes.size()),
                                               events.data(), most, timeout, nullptr);
    error_ = result.error();
    EXPECT_EQ(events.back().filter, 77);
    check_promise();
    events.resize(result.ok() ? static_cast<size_t>(result.value()) : 0);
    for (size_t i = 0; i < events.size(); i++)
        for (size_t j = 0; j < i; j++)
            EXPECT_FALSE((events[i].flags & EV_ERROR) == 0 && events[i].ident == events[j].ident &&
                         events[i].filter == events[j].filter &&
                         is_specific(events[i]) == is_specific(events[j]) &&
                         (!is_specific(events[i]) || events[i].udata == events[j].udata))
                << "R-48: " << show(events);
    return events;
}

}  // namespace sim
