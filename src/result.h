// SPDX-License-Identifier: BSD-2-Clause
// Errno and Result<T>: how every internal function reports failure.
//
// A failure is a value that is carried upward by hand. Only api.cc and its headers write the user's
// errno, last. No exceptions, nothing allocated.
#ifndef KQ_RESULT_H
#define KQ_RESULT_H

#include <errno.h>

namespace kq {

// An errno value. `ok` is success. Any value of <errno.h> may occur; those the
// core itself produces or distinguishes have names.
enum class [[nodiscard]] Errno : int{
    ok = 0,
    access_denied = EACCES,
    bad_descriptor = EBADF,
    busy = EBUSY,
    exists = EEXIST,
    fault = EFAULT,
    in_progress = EINPROGRESS,
    interrupted = EINTR,
    invalid = EINVAL,
    no_entry = ENOENT,
    no_memory = ENOMEM,
    no_process = ESRCH,
    not_supported = ENOTSUP,
    not_permitted = EPERM,
    timed_out = ETIMEDOUT,
    too_many_links = ELOOP,
    too_many_open = EMFILE,
    too_many_open_in_system = ENFILE,
    unimplemented = ENOSYS,
    unsupported = ENOTSUP,
    // The number of the kqueue names another kqueue now, and nothing was done: the call must begin
    // again with that one. The user never sees this error.
    not_ours = -1,
    // The call must be traced: registry::find(). The user never sees this error.
    traced = -2,
};

// The errno of the C library call that just failed.
inline Errno last_errno() {
    return static_cast<Errno>(errno);
}
inline int to_int(Errno e) {
    return static_cast<int>(e);
}

// A value or the reason why there is none. T is small and default-constructible.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(value) {}                // NOLINT(google-explicit-constructor)
    Result(Errno error) : value_(), error_(error) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool ok() const { return error_ == Errno::ok; }
    [[nodiscard]] Errno error() const { return error_; }
    // Meaningful only if ok().
    [[nodiscard]] T value() const { return value_; }

  private:
    T value_;
    Errno error_ = Errno::ok;
};

// Turns not_ours into bad_descriptor, for calls that cannot begin again any more.
inline Result<int> closed_if_not_ours(Result<int> result) {
    return result.error() == Errno::not_ours ? Result<int>(Errno::bad_descriptor) : result;
}

}  // namespace kq

#endif
