// Random programs. See program.h.
#include "program.h"

#include <algorithm>

namespace sim {
namespace {

constexpr unsigned kNatures[] = {
    0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH, EV_CLEAR | EV_DISPATCH, EV_CLEAR | EV_ONESHOT};

}  // namespace

Program::Program(uint64_t seed, bool orderly) : random_(seed), orderly_(orderly) {
    world().share_lanes = pick(2) == 0;
    world().single_threaded = pick(2) == 0;
    for (int i = 0; i < 5; i++)
        fds_.push_back(world().open(FdKind::unix_stream));
}

void Program::step() {
    const unsigned what = pick(100);
    if (what < 20)
        add();
    else if (what < 40)
        manage();
    else if (what < 70)
        change_world();
    else
        wait();
}

Program::Key Program::random_key() {
    switch (pick(6)) {
        case 0:
            return {EVFILT_USER, static_cast<int>(pick(3))};
        case 1:
            return {EVFILT_TIMER, static_cast<int>(pick(3))};
        default:
            return {pick(2) == 0 ? EVFILT_READ : EVFILT_WRITE, fds_[pick(5)]};
    }
}

// ---- changes ----

void Program::apply(const Key& key, unsigned flags, unsigned fflags, intptr_t data,
                    Errno expected) {
    ASSERT_EQ(queue_.change(static_cast<uintptr_t>(key.second), key.first, flags, fflags, data),
              expected)
        << key.second << " " << key.first << " flags " << flags;
}

void Program::start_timer(Model& model) {
    model.due = world().now(Clock::monotonic) + model.period;
}

void Program::add() {
    const Key key = random_key();
    const unsigned nature = kNatures[pick(6)];
    const unsigned able = pick(4) == 0 ? (pick(2) == 0 ? EV_DISABLE : EV_ENABLE) : 0u;
    const bool timer = key.first == EVFILT_TIMER;
    const bool trigger = key.first == EVFILT_USER && pick(2) == 0;
    const intptr_t data = timer ? 1 + static_cast<intptr_t>(pick(20)) : 0;
    apply(key, EV_ADD | nature | able, trigger ? NOTE_TRIGGER : 0u, data, Errno::ok);
    const auto [at, created] = knotes_.try_emplace(key);
    Model& model = at->second;
    if (created) model.flags = nature | (timer ? EV_CLEAR : 0u);
    // EV_CLEAR in a change of a USER knote takes a trigger back, D-14.
    if (!created && key.first == EVFILT_USER && !trigger && (nature & EV_CLEAR) != 0)
        model.triggered = false;
    if (trigger) model.triggered = true;
    if (able != 0) model.disabled = able == EV_DISABLE;
    model.news = true;
    if (!timer) return;
    model.period = data * kMillisecond;
    start_timer(model);
}

void Program::manage() {
    const Key key = random_key();
    const auto at = knotes_.find(key);
    const Errno expected = at == knotes_.end() ? Errno::no_entry : Errno::ok;
    switch (pick(key.first == EVFILT_USER ? 5 : 3)) {
        case 0:
            apply(key, EV_DELETE, 0, 0, expected);
            if (expected == Errno::ok) knotes_.erase(at);
            return;
        case 1:
            able(key, EV_DISABLE);
            return;
        case 2:
            able(key, EV_ENABLE);
            return;
        default:
            apply(key, 0, NOTE_TRIGGER, 0, expected);
            if (expected == Errno::ok) at->second.triggered = true;
    }
}

void Program::able(const Key& key, unsigned flag) {
    const auto at = knotes_.find(key);
    if (at == knotes_.end() && stale_.count(key) != 0) {
        // Laziness: that the number is another file's may not be noticed yet.
        (void)queue_.change(static_cast<uintptr_t>(key.second), key.first, flag);
        return;
    }
    apply(key, flag, 0, 0, at == knotes_.end() ? Errno::no_entry : Errno::ok);
    if (at == knotes_.end()) return;
    Model& model = at->second;
    if (flag == EV_ENABLE && model.disabled) {
        model.news = true;
        if (key.first == EVFILT_TIMER) start_timer(model);  // D-15
    }
    model.disabled = flag == EV_DISABLE;
}

// ---- the outside ----

void Program::news(int filter, int fd) {
    const auto at = knotes_.find({filter, fd});
    if (at != knotes_.end()) at->second.news = true;
}

void Program::reopen(int fd) {
    for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
        if (knotes_.erase({filter, fd}) == 0) continue;
        if (orderly_)
            apply({filter, fd}, EV_DELETE, 0, 0, Errno::ok);
        else
            stale_.insert({filter, fd});
    }
    (void)world().open(FdKind::unix_stream, fd);
}

void Program::change_world() {
    const int fd = fds_[pick(5)];
    OpenFile& file = world().file(fd);
    switch (pick(8)) {
        case 0:
        case 1:
            world().feed(fd, 1 + pick(5));
            news(EVFILT_READ, fd);
            break;
        case 2:
            world().feed(fd, -file.readable);
            break;
        case 3:
            if (file.space == 0) news(EVFILT_WRITE, fd);
            world().room(fd, 1 + pick(5));
            break;
        case 4:
            world().room(fd, -file.space);
            break;
        case 5:
            world().advance(static_cast<Nanos>(pick(30)) * kMillisecond / 2);
            break;
        case 6:
            if (pick(3) == 0) reopen(fd);
            break;
        default:
            if (pick(6) != 0) break;
            world().end(fd, pick(2) == 0 ? 104 : 0);
            news(EVFILT_READ, fd);
            news(EVFILT_WRITE, fd);
    }
}

bool Program::holds(const Key& key, const Model& model) const {
    if (key.first == EVFILT_USER) return model.triggered;
    if (key.first == EVFILT_TIMER) return world().now(Clock::monotonic) >= model.due;
    const OpenFile& file = world().file(key.second);
    if (file.hangup) return true;
    return key.first == EVFILT_READ ? file.readable > 0 : file.space > 0;
}

// ---- collecting ----

void Program::wait() {
    const int room = 1 + static_cast<int>(pick(pick(2) == 0 ? 2 : 30));
    const Nanos timeout = pick(4) == 0 ? static_cast<Nanos>(pick(8)) * kMillisecond : 0;
    if (pick(8) == 0) world().wake();
    if (pick(8) == 0) {
        const kq::Handle stale(kq::Handle::Kind::descriptor, static_cast<uint32_t>(fds_[pick(5)]),
                               kq::Handle::kGenerations);
        queue_.backend().inject({stale, 0xff, static_cast<uint8_t>(pick(2))});
    }
    const bool was_readable = queue_.readable();
    const bool leftovers = queue_.queued() > 0;
    const Kevents events = queue_.wait(room, timeout);
    ASSERT_EQ(queue_.error(), Errno::ok);
    if (timeout == 0 && !was_readable) {
        EXPECT_TRUE(events.empty()) << "poll() would have missed " << show(events);
    }
    for (const struct kevent& event : events)
        reported(event);
    // Where there is little room, reports that come to nothing (stale ones, leftovers that are no
    // longer true) may take the place of true ones in a call that has others; never in one that
    // says there are none.
    const bool complete = events.empty() || (orderly_ && !leftovers && room > 16);
    if (static_cast<int>(events.size()) < room && complete) check_complete(events);
}

// An event must be that of a knote that is enabled, and true.
void Program::reported(const struct kevent& event) {
    const Key key{event.filter, static_cast<int>(event.ident)};
    const auto at = knotes_.find(key);
    ASSERT_NE(at, knotes_.end()) << "no such knote: " << show({event});
    Model& model = at->second;
    EXPECT_FALSE(model.disabled) << show({event});
    EXPECT_TRUE(holds(key, model)) << show({event});
    EXPECT_EQ(event.flags & ~EV_EOF, EV_ADD | model.flags);
    if (key.first == EVFILT_READ) {
        EXPECT_EQ(event.data, world().file(key.second).readable);
    }
    if (key.first == EVFILT_TIMER) {
        const Nanos late = world().now(Clock::monotonic) - model.due;
        const Nanos ticks = model.has(EV_ONESHOT) ? 1 : late / model.period + 1;
        EXPECT_EQ(event.data, ticks);
        model.due += ticks * model.period;
    }
    model.news = false;
    if (model.has(EV_CLEAR)) model.triggered = false;
    if (model.has(EV_DISPATCH)) model.disabled = true;
    if (model.has(EV_ONESHOT)) knotes_.erase(at);
}

// There was room left: what was not reported must not have been true, and what
// still makes the descriptor readable must be true by level.
void Program::check_complete(const Kevents& events) {
    bool level = false;
    for (const auto& [key, model] : knotes_) {
        const bool seen = std::any_of(events.begin(), events.end(), [&k = key](const auto& event) {
            return event.filter == k.first && event.ident == static_cast<uintptr_t>(k.second);
        });
        if (model.disabled || !holds(key, model)) continue;
        if (!model.has(EV_CLEAR)) level = true;
        if (seen || (is_descriptor(key) && model.has(EV_CLEAR) && !model.news)) continue;
        ADD_FAILURE() << "not reported: " << key.second << " filter " << key.first << " flags "
                      << model.flags << " in " << show(events);
    }
    EXPECT_EQ(queue_.readable(), level) << queue_.backend().what_is_ready();
}

void Program::finish() {
    for (const auto& [key, model] : knotes_)
        apply(key, EV_DELETE, 0, 0, Errno::ok);
    knotes_.clear();
    EXPECT_TRUE(queue_.wait().empty());
    EXPECT_FALSE(queue_.readable());
    for (const int fd : fds_)
        world().close(fd);
    EXPECT_EQ(queue_.backend().registrations(), 0u);
    EXPECT_EQ(queue_.backend().earliest_deadline() < world().now(Clock::monotonic), false);
}

}  // namespace sim
