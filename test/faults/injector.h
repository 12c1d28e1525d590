// SPDX-License-Identifier: BSD-2-Clause
// A system that refuses: one system call or one allocation of the library fails, or several do.
//
// The library makes many of its system calls in place, where nothing can be interposed: dispatch.h
// brings them all here, which refuses them or makes them, by the list in calls.h. Its allocations
// come by the linker (--wrap): the tests are linked with the library's objects.
//
// Only calls made within Inside are counted and refused. One thread; x86-64 Linux.
#ifndef KQFAULTS_INJECTOR_H
#define KQFAULTS_INJECTOR_H

#include <string>

namespace kqfaults {

// Whether system calls can be refused here. The first call puts all in place, for good.
bool prepare();

// While it lives the thread is inside the library.
class Inside {
  public:
    Inside();
    ~Inside();
    Inside(const Inside&) = delete;
};

// While it lives it is not, after all: in the C library's own affairs.
class Outside {
  public:
    Outside();
    ~Outside();
    Outside(const Outside&) = delete;

  private:
    int inside_;
};

enum class What : unsigned char {
    nothing,
    system_call,  // the n-th that can fail, with the n-th of the errors it can fail with
    allocation,   // the n-th
    named,        // see refuse()
    proc,         // all that needs /proc: it is not mounted
    limit,        // nothing here: the caller has set a limit of descriptors
};

constexpr unsigned kMostReasons = 4;

// What is to fail from now on; `position` counts from 1, `reason` from 0.
void arm(What what, unsigned position = 0, unsigned reason = 0);

// The next call of this name in the list is refused, with this.
void refuse(const char* name, int error);

// What happened since.
struct Report {
    bool reached;      // there was such a position,
    bool fired;        // and such a reason
    int error;         // the errno given
    std::string what;  // for people
};
Report report();

// A system call that is not in the list, made since this was asked the last time; empty: none.
std::string take_unlisted();
// Rows of the list that were never used; a line each.
std::string unused();

// Blocks of memory that the library has.
long live_blocks();

}  // namespace kqfaults

#endif
