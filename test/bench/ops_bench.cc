// SPDX-License-Identifier: BSD-2-Clause
// kq_ops: what one operation costs while many knotes are present: Google Benchmark.
//
//     kq_ops [--benchmark_filter=TIMER/] [--benchmark_format=json] ...
//
// A benchmark is named FILTER/OPERATION/KNOTES. The operations, each a kevent() call of its own:
//
//     add     EV_ADD of a knote that is not there
//     modify  EV_ADD of one that is, with something changed (the delay, udata, fflags)
//     fire    one event obtained. What makes it true is done before and not counted, except for
//             USER and SIGNAL, where it is counted
//     delete  EV_DELETE
//
// modify and fire are done to knotes far from each other, so that the caches are as cold as in a
// program that has so many; add and delete to a few that come and go. Counters: `ns` an operation;
// `heap`, bytes the library took for each knote present. The row `epoll` is the same as READ
// without the library (with one FIONREAD an event). What a process cannot have (RLIMIT_NOFILE,
// processes) is reported as an error and not measured.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "population.h"

namespace kqbench {
namespace {

constexpr int kFewBatches = 8;
constexpr int kSizes[] = {1'000, 10'000, 100'000, 1'000'000};

// The population that was used last: several benchmarks in a row want the same one.
class Stock {
  public:
    static Population& get(const Filter& filter, int size) {
        if (filter_ != &filter || population_->size() != size) {
            population_.reset();
            population_ = filter.make(size);
            filter_ = &filter;
        }
        return *population_;
    }
    static void clear() { population_.reset(); }

  private:
    static inline std::unique_ptr<Population> population_;
    static inline const Filter* filter_ = nullptr;
};

// Numbers of present knotes, each far from the last; the next `count` are distinct.
class Scattered {
  public:
    explicit Scattered(int size) : size_(size), step_(static_cast<int64_t>(size) * 5 / 8 + 1) {
        while (std::gcd(step_, size_) != 1)
            step_++;
    }
    int operator()(int j) const { return static_cast<int>((first_ + j * step_) % size_); }
    void advance(int count) { first_ = (first_ + count * step_) % size_; }

  private:
    int64_t size_;
    int64_t step_;
    int64_t first_ = 0;
};

// One iteration is a batch of operations: `before` and `after` each batch are not counted. The
// counter `ns` is that of the median batch, because other work of the machine should not count.
template <class Before, class Operation, class After>
void run_batches(benchmark::State& state, int batch, Before before, Operation operation,
                 After after) {
    std::vector<int64_t> batches;
    for (auto _ : state) {
        for (int j = 0; j < batch; j++)
            before(j);
        const int64_t start = now_ns();
        for (int j = 0; j < batch; j++)
            operation(j);
        const int64_t spent = now_ns() - start;
        after();
        batches.push_back(spent);
        state.SetIterationTime(static_cast<double>(spent) / 1e9);
    }
    const auto middle = batches.begin() + static_cast<ptrdiff_t>(batches.size() / 2);
    std::nth_element(batches.begin(), middle, batches.end());
    state.counters["ns"] = static_cast<double>(*middle) / batch;
}

const auto kNothing = [](auto...) {};

void add(benchmark::State& state, Population& population) {
    const int batch = population.spares();
    run_batches(
        state, batch, kNothing, [&population](int j) { population.add(j); },
        [&population, batch] {
            for (int j = 0; j < batch; j++)
                population.remove(j);
        });
}

void remove(benchmark::State& state, Population& population) {
    run_batches(
        state, population.spares(), [&population](int j) { population.add(j); },
        [&population](int j) { population.remove(j); }, kNothing);
}

void modify(benchmark::State& state, Population& population) {
    const int batch = std::min(population.present(), Population::kSpares);
    Scattered numbers(population.present());
    run_batches(
        state, batch, kNothing, [&population, &numbers](int j) { population.modify(numbers(j)); },
        [&population, &numbers, batch] {
            population.drain();  // some are active again after EV_ADD
            numbers.advance(batch);
        });
}

void fire(benchmark::State& state, Population& population) {
    const int batch = std::min(population.present(), Population::kSpares);
    Scattered numbers(population.present());
    run_batches(
        state, batch, [&population, &numbers](int j) { population.prepare(numbers(j)); },
        [&population, &numbers](int j) { population.fire(numbers(j)); },
        [&population, &numbers, batch] {
            for (int j = 0; j < batch; j++)
                population.finish(numbers(j));
            numbers.advance(batch);
        });
}

struct Operation {
    const char* name;
    void (*run)(benchmark::State& state, Population& population);
};

constexpr Operation kOperations[] = {
    {"add", add}, {"modify", modify}, {"fire", fire}, {"delete", remove}};

void register_all() {
    for (const Filter& filter : filters())
        for (const int size : kSizes) {
            if (size > filter.most) break;
            for (const Operation& operation : kOperations) {
                const std::string name =
                    std::string(filter.name) + "/" + operation.name + "/" + std::to_string(size);
                const auto body = [&filter, &operation, size](benchmark::State& state) {
                    const std::string obstacle = filter.obstacle(size);
                    if (!obstacle.empty()) return state.SkipWithError(obstacle.c_str());
                    Population& population = Stock::get(filter, size);
                    operation.run(state, population);
                    state.counters["heap"] = population.heap_per_knote();
                };
                auto* one = benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime();
                if (filter.dear && operation.run == fire) one->Iterations(kFewBatches);
            }
        }
}

}  // namespace
}  // namespace kqbench

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    kqbench::register_all();
    benchmark::RunSpecifiedBenchmarks();
    kqbench::Stock::clear();
    return 0;
}
