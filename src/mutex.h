// SPDX-License-Identifier: BSD-2-Clause
// A mutex that clang can reason about, and the annotations that say what it
// guards. With other compilers the annotations vanish.
#ifndef KQ_MUTEX_H
#define KQ_MUTEX_H

#include <utility>

#include "check.h"
#include "threading.h"

#if defined(__clang__)
    #define KQ_ANNOTATE(x) __attribute__((x))
#else
    #define KQ_ANNOTATE(x)
#endif

#define KQ_CAPABILITY(name) KQ_ANNOTATE(capability(name))
#define KQ_SCOPED_CAPABILITY KQ_ANNOTATE(scoped_lockable)
#define KQ_GUARDED_BY(m) KQ_ANNOTATE(guarded_by(m))
#define KQ_REQUIRES(...) KQ_ANNOTATE(requires_capability(__VA_ARGS__))
#define KQ_EXCLUDES(...) KQ_ANNOTATE(locks_excluded(__VA_ARGS__))
#define KQ_ACQUIRE(...) KQ_ANNOTATE(acquire_capability(__VA_ARGS__))
#define KQ_RELEASE(...) KQ_ANNOTATE(release_capability(__VA_ARGS__))
#define KQ_TRY_ACQUIRE(...) KQ_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define KQ_RETURN_CAPABILITY(m) KQ_ANNOTATE(lock_returned(m))
#define KQ_NO_ANALYSIS KQ_ANNOTATE(no_thread_safety_analysis)

namespace kq {

// Not recursive. Constant-initialised, so it may be a global.
//
// In a process that never had a second thread it is a plain flag: no other thread can want it, and
// a thread that is made later sees what was stored before.
class KQ_CAPABILITY("mutex") Mutex {
  public:
    constexpr Mutex() = default;
    ~Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    void lock() KQ_ACQUIRE() {
        if (!single_threaded()) {
            KQ_CHECK(mutex_.lock());
            return;
        }
        lock_alone();
    }
    // As lock(), for callers who know that there is one thread.
    void lock_alone() KQ_ACQUIRE() {
        KQ_CHECK(!flag_);
        flag_ = true;
    }
    void unlock_alone() KQ_RELEASE() { flag_ = false; }
    // The same for callers who know that there are several threads. A mutex that
    // lock_among_threads() has locked may be unlocked by unlock(), too.
    void lock_among_threads() KQ_ACQUIRE() { KQ_CHECK(mutex_.lock()); }
    void unlock_among_threads() KQ_RELEASE() { KQ_CHECK(mutex_.unlock()); }
    void unlock() KQ_RELEASE() {
        if (flag_)
            flag_ = false;
        else
            KQ_CHECK(mutex_.unlock());
    }
    bool try_lock() KQ_TRY_ACQUIRE(true) {
        if (!single_threaded()) return mutex_.try_lock();
        return !std::exchange(flag_, true);
    }

  private:
    RawMutex mutex_;
    bool flag_ = false;  // held as a flag, without the mutex of the system
};

// A mutex of the whole process. While a thread has it, or is about to lock it, this is known to
// signal handlers of the thread (threading::is_in_shared()): fork() in a handler must not wait for
// the code that the handler has interrupted.
class KQ_CAPABILITY("mutex") SharedMutex {
  public:
    void lock() KQ_ACQUIRE() KQ_NO_ANALYSIS {
        threading::enter_shared();
        mutex_.lock();
    }
    void unlock() KQ_RELEASE() KQ_NO_ANALYSIS {
        mutex_.unlock();
        threading::leave_shared();
    }
    bool try_lock() KQ_TRY_ACQUIRE(true) KQ_NO_ANALYSIS {
        threading::enter_shared();
        if (mutex_.try_lock()) return true;
        threading::leave_shared();
        return false;
    }

  private:
    Mutex mutex_;
};

// Holds a mutex for a scope.
template <class M>
class KQ_SCOPED_CAPABILITY Guard {
  public:
    explicit Guard(M& mutex) KQ_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
    ~Guard() KQ_RELEASE() { mutex_.unlock(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

  private:
    M& mutex_;
};

}  // namespace kq

#endif
