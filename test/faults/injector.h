// A system that refuses: one system call or one allocation of the library fails, or several do.
//
// The library makes many of its system calls in place, where nothing can be interposed: a seccomp
// filter turns those that may fail into SIGSYS, whose handler refuses them or makes them. Its
// allocations come here by the linker (--wrap): the tests are linked with the library's objects.
//
// Only calls made within Inside are counted and refused. One thread; x86-64 Linux.
#ifndef KQFAULTS_INJECTOR_H
#define KQFAULTS_INJECTOR_H

#include <string>

namespace kqfaults {

// Whether system calls can be refused here. The first call puts the filter in place, for good.
bool prepare();

// While it lives the thread is inside the library.
class Inside {
  public:
    Inside();
    ~Inside();
    Inside(const Inside&) = delete;
};

enum class What : unsigned char {
    nothing,
    system_call,  // the n-th that can fail, with the n-th of the errors it can fail with
    allocation,   // the n-th
    proc,         // all that needs /proc: it is not mounted
    limit,        // nothing here: the caller has set a limit of descriptors
};

// What is to fail from now on; `position` counts from 1, `reason` from 0.
void arm(What what, unsigned position = 0, unsigned reason = 0);

// What happened since.
struct Report {
    bool reached;      // there was such a position,
    bool fired;        // and such a reason
    int error;         // the errno given
    std::string what;  // for people
};
Report report();

// Blocks of memory that the library has.
long live_blocks();

}  // namespace kqfaults

#endif
