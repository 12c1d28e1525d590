// SPDX-License-Identifier: BSD-2-Clause
// Does each step on the model and on the subject. See player.h.
#include "model/player.h"

#include <sys/event.h>

#include <algorithm>
#include <cerrno>

namespace kqmodel {
namespace {

constexpr int kStaleLooks = 2;

class Player {
  public:
    Player(const Traits& traits, const Maker& make, Statistics& statistics)
        : traits_(traits), model_(traits), subject_(make()), statistics_(statistics) {
        model_.set_time(subject_->now());
    }

    std::string step(const Step& step) {
        statistics_.operations++;
        switch (step.what) {
            case Step::What::call:
                return call(step);
            case Step::What::renew:
                model_.renew(step.queue);
                subject_->renew(step.queue);
                break;
            case Step::What::advance:
                subject_->advance(step.count);
                model_.set_time(subject_->now());
                break;
            case Step::What::open:
            case Step::What::close:
            case Step::What::dup:
                descriptors(step);
                break;
            default:
                traffic(step);
        }
        return "";
    }

  private:
    // The model comes first, because it says whether the step can be done.
    void descriptors(const Step& step) {
        if (step.what == Step::What::open && model_.open(step.kind, step.a, step.b))
            subject_->open(step.kind, step.a, step.b);
        if (step.what == Step::What::close && model_.close(step.a)) subject_->close(step.a);
        if (step.what == Step::What::dup && model_.dup(step.a, step.b))
            subject_->dup(step.a, step.b);
    }

    void traffic(const Step& step) {
        Files& files = model_.files();
        const int slot = step.a;
        const bool write = step.what == Step::What::write;
        int64_t count = write ? files.may_write(slot) : files.may_read(slot);
        if (step.what != Step::What::drain) count = std::min(count, step.count);
        if (step.what == Step::What::shut) {
            if (model_.shut(slot)) subject_->shut(slot);
        } else if (step.what == Step::What::fill) {
            if (files.may_fill(slot)) files.filled(slot, subject_->fill(slot));
        } else if (step.what == Step::What::urge) {
            if (!files.may_urge(slot)) return;
            subject_->urge(slot);
            files.urge(slot);
        } else if (step.what == Step::What::take) {
            if (!files.may_take(slot)) return;
            subject_->take(slot);
            files.take(slot);
        } else if (count > 0 && write) {
            subject_->write(slot, count);
            files.write(slot, count);
        } else if (count > 0) {
            subject_->read(slot, count);
            files.read(slot, count);
        }
    }

    // L-LATE: changes whose answer is not certain are made in calls of their own.
    Step without_late_changes(Step step) {
        std::vector<Entry> kept;
        for (const Entry& entry : step.changes) {
            if (!model_.is_late(step.queue, entry)) {
                kept.push_back(entry);
                continue;
            }
            Step late;
            late.queue = step.queue;
            late.changes = {entry};
            (void)subject_->kevent(late, Wait::none);
        }
        step.changes = kept;
        return step;
    }

    std::string call(const Step& asked) {
        const Step step = without_late_changes(asked);
        statistics_.calls++;
        model_.set_time(subject_->now());
        if (step.wait == Wait::negative)
            return compare(subject_->kevent(step, step.wait), {-1, EINVAL, {}, true});
        std::string wrong = look_before(step.queue);
        if (!wrong.empty()) return wrong;
        if (step.fault && step.room == 0 && !step.changes.empty()) return refused(step);
        statistics_.changes += static_cast<long>(step.changes.size());
        Model::Answer answer = model_.apply(step.queue, step.changes, step.room);
        statistics_.refusals += static_cast<long>(answer.entries.size());
        if (!answer.stopped && step.wait == Wait::invalid)
            answer = {-1, EINVAL, {}, true};
        const bool waits = step.wait == Wait::event && model_.something_is_due(step.queue);
        Wait wait = step.wait;
        if (wait == Wait::event && !waits) wait = Wait::none;
        const Outcome outcome = subject_->kevent(step, wait);
        if (answer.stopped) return compare(outcome, answer);
        if (!outcome.wrong.empty()) return outcome.wrong;
        if (step.fault && outcome.error == kFault) return "";  // and no event is lost
        if (outcome.result < 0) return "failed: errno " + std::to_string(outcome.error);
        statistics_.events += outcome.result;
        model_.set_time(subject_->now());
        wrong = model_.accept(step.queue, step.room, waits, outcome.entries);
        if (!wrong.empty()) return wrong + "\n  in " + to_string(outcome.entries);
        const bool all = outcome.entries.empty() || step.room >= 64;
        return all ? look_after(step.queue) : "";
    }

    // One change, while the system refuses. EV_ENABLE with EV_ADD counts as two changes, of which
    // one may have been made: there the system does not refuse.
    std::string refused(Step step) {
        const unsigned flags = step.changes[0].flags;
        step.fault = (flags & EV_ENABLE) == 0 || (flags & EV_ADD) == 0;
        const Outcome outcome = subject_->kevent(step, Wait::none);
        if (outcome.error != kFault)
            return compare(outcome, model_.apply(step.queue, step.changes, step.room));
        model_.refused(step.queue, step.changes[0]);
        return "";
    }

    static std::string compare(const Outcome& outcome, const Model::Answer& answer) {
        if (!outcome.wrong.empty()) return outcome.wrong;
        const bool same = outcome.result == answer.result && outcome.entries == answer.entries &&
                          (outcome.result >= 0 || outcome.error == answer.error);
        if (same) return "";
        return "returned " + std::to_string(outcome.result) + ", errno " +
               std::to_string(outcome.error) + ", " + to_string(outcome.entries) +
               "\n  instead of " + std::to_string(answer.result) + ", errno " +
               std::to_string(answer.error) + ", " + to_string(answer.entries);
    }

    // a pending event makes the queue readable. R-87: a deleted knote does not.
    std::string look_before(int queue) {
        if (traits_.relaxed.no_poll) return "";
        const bool pending = model_.pending(queue) == Truth::yes;
        if (!pending && !model_.must_be_quiet(queue)) return "";
        if (subject_->readable(queue) == pending) return "";
        return pending ? "poll() finds nothing, but there is an event to come"
                       : "poll() finds it readable, and there is no knote";
    }

    // L-STALE-POLL: poll() may find the queue readable without an event a few times, until calls
    // have found that out.
    std::string look_after(int queue) {
        if (traits_.relaxed.no_poll) return "";
        for (int looks = 0;; looks++) {
            const Truth expected = model_.leftover(queue);
            if (expected == Truth::maybe) return "";
            const bool readable = subject_->readable(queue);
            if (!readable) model_.found_quiet(queue);
            if (readable == (expected == Truth::yes)) return "";
            if (expected == Truth::yes) return "poll() finds nothing, but an event is still true";
            if (looks == kStaleLooks) return "poll() finds it readable, and nothing is to come";
            Step again;
            again.queue = queue;
            again.room = 1;
            model_.set_time(subject_->now());
            const Outcome outcome = subject_->kevent(again, Wait::none);
            model_.set_time(subject_->now());
            const std::string wrong = model_.accept(queue, again.room, false, outcome.entries);
            if (!wrong.empty()) return wrong + "\n  in a second call";
        }
    }

    const Traits& traits_;
    Model model_;
    std::unique_ptr<Subject> subject_;
    Statistics& statistics_;
};

}  // namespace

std::optional<Failure> play(const Program& program, const Traits& traits, const Maker& make,
                            Statistics& statistics) {
    Player player(traits, make, statistics);
    statistics.programs++;
    for (size_t i = 0; i < program.size(); i++) {
        const std::string wrong = player.step(program[i]);
        if (!wrong.empty()) return Failure{i, wrong};
    }
    return std::nullopt;
}

}  // namespace kqmodel
