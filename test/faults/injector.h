// SPDX-License-Identifier: BSD-2-Clause
// A system that refuses: one system call or one allocation of the library fails, or several fail.
//
// The library makes many of its system calls inline, so that no function can be interposed.
// dispatch.h brings all of them here. The injector refuses them or makes them, by the list in
// calls.h. The linker (--wrap) brings the allocations here, because the tests are linked with the
// library's objects.
//
// Only calls made within Inside are counted and refused. It works with one thread, on x86-64 Linux.
#ifndef KQFAULTS_INJECTOR_H
#define KQFAULTS_INJECTOR_H

#include <string>

namespace kqfaults {

// Whether system calls can be refused here. The first call prepares everything, for good.
bool prepare();

// While it lives, the thread is inside the library.
class Inside {
  public:
    Inside();
    ~Inside();
    Inside(const Inside&) = delete;
};

// While it lives, the thread counts as outside the library: it does the C library's own work.
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
    proc,         // each call that needs /proc, as if /proc were not mounted
    limit,        // no call: the caller has set a limit of descriptors
};

constexpr unsigned kMostReasons = 4;

// Sets what fails from now on. `position` counts from 1, `reason` from 0.
void arm(What what, unsigned position = 0, unsigned reason = 0);

// The next call with this name in the list is refused with this error.
void refuse(const char* name, int error);

// What happened since arm() or refuse().
struct Report {
    bool reached;      // there was such a position
    bool fired;        // there was such a reason, too
    int error;         // the errno given
    std::string what;  // a text for people
};
Report report();

// A system call that the list does not have, made since the last take_unlisted(); empty: none.
std::string take_unlisted();
// Rows of the list that were never used, one line each.
std::string unused();

// The number of memory blocks that the library has.
long live_blocks();

}  // namespace kqfaults

#endif
