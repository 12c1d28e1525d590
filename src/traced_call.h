// SPDX-License-Identifier: BSD-2-Clause
// One line for each call, if calls are traced: its arguments, its result, when, how long, and which
// thread.
//
// While tracing is on, registry::find() refuses every call with Errno::traced. api.cc then makes
// the call out of line, with one of these around it. So a call costs nothing more while tracing is
// off. On the stack of the calling thread; called without a lock.
#ifndef KQ_TRACED_CALL_H
#define KQ_TRACED_CALL_H

#include <time.h>

#include "nanos.h"
#include "result.h"
#include "trace_names.h"

namespace kq {

class Kqueue;

class TracedCall {
  public:
    // `name`: of the function that the program called.
    TracedCall(const char* name, int kq, int nchanges, int nevents);

    // The kqueue, with a reference, after registry::find() has refused the call with `why`. Not ok:
    // there is none, and a line about that was written.
    Result<Kqueue*> find(Errno why);

    // Notes the timeout for the line. The timeout is not read if the call does not use it. False:
    // the arguments are wrong, and the call fails with Errno::invalid.
    bool begins(const timespec* timeout, bool known_flags);

    // Called at the end of the call, before the reference is given back: writes the line, and says
    // why there is no event.
    void end(Kqueue& queue, Result<int> result);

  private:
    void append_arguments(names::Text& line) const;
    void append_end(names::Text& line) const;
    [[nodiscard]] const char* reason(const Kqueue* queue, Errno error) const;
    // `queue`: null if there is none.
    void fail(const Kqueue* queue, Errno error) const;

    const char* const name_;
    const int kq_;
    const int nchanges_;
    const int nevents_;
    bool known_flags_ = true;
    bool has_timeout_ = false;  // else it waits forever, or not at all
    timespec timeout_{};
    Nanos began_ = 0;
};

}  // namespace kq

#endif
