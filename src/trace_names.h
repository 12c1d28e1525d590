// SPDX-License-Identifier: BSD-2-Clause
// Names, not numbers: how trace lines show a struct kevent and other values. Called by trace.cc; no
// state, any thread.
#ifndef KQ_TRACE_NAMES_H
#define KQ_TRACE_NAMES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/event.h>

#include "platform_types.h"
#include "result.h"

namespace kq::names {

// A short text that grows at its end. If it does not fit, it is cut off.
class Text {
  public:
    [[nodiscard]] const char* c_str() const { return text_; }
    // As printf().
    void append(const char* format, ...) __attribute__((format(printf, 2, 3)));
    void append_list(const char* format, va_list arguments) __attribute__((format(printf, 2, 0)));

  private:
    char text_[400] = "";
    size_t used_ = 0;
};

// The name of a filter; null: there is no such filter.
const char* name_of(short filter);

// " SIGHUP", or nothing for a number without a name.
void append_signal(Text& text, uintptr_t number);

// {ident 5, EVFILT_READ, EV_ADD|EV_CLEAR, fflags NOTE_LOWAT, data 3, udata 0x0}
// Bits without a name are in hexadecimal. A signal has its name: {ident 1 SIGHUP, EVFILT_SIGNAL,
// ...
void append(Text& text, const struct kevent& kev);

// A name like EBADF, or the number.
void append(Text& text, Errno error);

// What the kernel reported: descriptor 5 readable|hangup
void append(Text& text, const Wakeup& wakeup);

}  // namespace kq::names

#endif
