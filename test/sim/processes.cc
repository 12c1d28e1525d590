// SPDX-License-Identifier: BSD-2-Clause
// Simulated processes: the functions of world.h, and the answers that the backend and the library
// get.
#include <utility>

#include "backend.h"
#include "world.h"

namespace sim {

Process& World::start(int32_t pid) {
    Process& process = processes_[++serials_];
    process.serial = serials_;
    process.pid = pid;
    return process;
}

Process* World::find_process(int32_t pid) {
    for (auto& [serial, process] : processes_)
        if (process.pid == pid && !process.reaped) return &process;
    return nullptr;
}

Process* World::find_process_serial(uint64_t serial) {
    const auto at = processes_.find(serial);
    return at == processes_.end() ? nullptr : &at->second;
}

void World::exit(int32_t pid, int status) {
    Process& process = *find_process(pid);
    process.exited = true;
    process.status = status;
    for (kq::Backend* queue : queues)
        queue->on_process_ended(process.serial);
}

void World::reap(int32_t pid) {
    find_process(pid)->reaped = true;
}

void World::announce(kq::ProcessNews::What what, int32_t pid, int32_t arg) {
    if (!listening) return;
    news.push_back({what, pid, arg});
    for (kq::Backend* queue : queues)
        queue->on_news();
}

}  // namespace sim

namespace kq {

using sim::Fault;
using sim::world;

Life processes::ask(const ProcessFacts& facts, int& status) {
    const sim::Process* process = world().find_process_serial(facts.started);
    if (process == nullptr) return Life::exited_unknown;
    if (!process->exited) return Life::running;
    if (!process->known && !process->reaped) return Life::exited_later;
    status = process->status;
    return Life::exited;
}

Errno processes::listen(const char*& why) {
    why = "the simulated system has none";
    const Errno error = world().use(Fault::listen);
    if (error == Errno::ok) world().listening = true;
    return error;
}

void processes::stop_listening() {
    world().listening = false;
    world().news.clear();
}

void processes::abandon_in_child() {
    stop_listening();
}

Result<size_t> processes::hear(std::span<ProcessNews> out) {
    if (std::exchange(world().overflowed, false)) return Errno::no_memory;
    size_t count = 0;
    for (; count < out.size() && !world().news.empty(); world().news.pop_front())
        out[count++] = world().news.front();
    return count;
}

Errno Backend::watch_process(int32_t pid, Handle handle, ProcessFacts& facts) {
    const Errno error = world().use(Fault::watch_process);
    const sim::Process* process = world().find_process(pid);
    if (process == nullptr) return Errno::no_process;
    if (error != Errno::ok && error != Errno::unimplemented) return error;
    facts.pid = pid;
    facts.started = process->serial;
    if (error == Errno::unimplemented) return error;
    facts.place = &processes_.emplace_back(ProcessWatch{process->serial, handle});
    if (process->exited) on_process_ended(process->serial);
    return Errno::ok;
}

void Backend::unwatch_process(ProcessFacts& facts) {
    if (facts.place != nullptr)
        processes_.remove_if([&facts](const ProcessWatch& w) { return &w == facts.place; });
    facts = ProcessFacts{};
}

// An exit is reported once, even if no knote wants it any more.
void Backend::on_process_ended(uint64_t serial) {
    for (ProcessWatch& watch : processes_) {
        if (watch.serial != serial || watch.handle.kind() == Handle::Kind::none) continue;
        inject({watch.handle, kReadable, 0});
        watch.handle = Handle{};
    }
}

Errno Backend::hear_processes(bool on) {
    hears_ = on;
    if (on) list_special(kProcesses);
    return Errno::ok;
}

}  // namespace kq
