// SPDX-License-Identifier: BSD-2-Clause
// Shared by the benchmark programs: clocks, what the process holds, descriptors and files to
// measure with. A failure ends the program, because a benchmark that went wrong has no result.
#ifndef KQBENCH_BENCH_H
#define KQBENCH_BENCH_H

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace kqbench {

// Says what failed, with errno, and exits with status 1.
[[noreturn]] void fail(const char* what);

inline void must(bool good, const char* what) {
    if (!good) [[unlikely]]
        fail(what);
}

int64_t now_ns();      // monotonic
int64_t cpu_ns();      // spent by this process, in it and for it in the kernel
size_t heap_in_use();  // bytes, by mallinfo2()
int count_descriptors();
long resident_kib();

// Sets RLIMIT_NOFILE to the hard limit, and that to `wanted` if the process may; returns what it is
// now.
size_t raise_file_limit(size_t wanted = 0);

// What the process held at one moment; per_op() is what it holds more since then.
struct Held {
    int descriptors = count_descriptors();
    size_t heap = heap_in_use();
};

// Descriptors in pairs: pipes (read end, write end) or connected AF_UNIX stream sockets, all of
// them non-blocking.
class Pairs {
  public:
    enum Kind { pipes, sockets };
    Pairs(int count, Kind kind);
    Pairs(const Pairs&) = delete;
    ~Pairs();

    int size() const { return static_cast<int>(ends_.size() / 2); }
    int read_end(int i) const { return ends_[static_cast<size_t>(2 * i)]; }
    int write_end(int i) const { return ends_[static_cast<size_t>(2 * i) + 1]; }
    int highest() const;

  private:
    std::vector<int> ends_;
};

// Empty files in a directory of their own, open; all removed at the end.
class TempFiles {
  public:
    explicit TempFiles(int count);
    TempFiles(const TempFiles&) = delete;
    ~TempFiles();

    int operator[](int i) const { return fds_[static_cast<size_t>(i)]; }
    int size() const { return static_cast<int>(fds_.size()); }

  private:
    std::string path(int i) const { return directory_ + "/" + std::to_string(i); }

    std::string directory_;
    std::vector<int> fds_;
};

// Children that wait until they are told to go, then exit with kStatus.
class Children {
  public:
    static constexpr int kStatus = 7;

    explicit Children(int count);
    Children(const Children&) = delete;
    ~Children();  // lets them go and reaps them

    pid_t operator[](int i) const { return pids_[static_cast<size_t>(i)]; }
    int size() const { return static_cast<int>(pids_.size()); }
    void let_go();        // all of them
    void end_one(int i);  // kills it and waits until it has ended
    void replace(int i);  // reaps the i-th, which has ended; another process takes its place
    void wait_until_ended() const;              // all; none is reaped
    static void wait_until_ended(pid_t child);  // one

  private:
    pid_t start() const;

    int gate_[2] = {-1, -1};
    std::vector<pid_t> pids_;
};

}  // namespace kqbench

#endif
