// SPDX-License-Identifier: BSD-2-Clause
// sigaction() and signal(), as the program calls them.
//
// A program may ignore a signal after a kqueue began to watch it; libevent does so. That takes our
// handler away, and a signal that comes then leaves no trace. A block until the next kevent() would
// keep the signal. But threads and programs that are made in between inherit the block, and a
// signal handler may return into it. So nothing is blocked. Instead the library defines these two
// names, in front of the C library's. They do the same as the originals, and put our handler back
// at once. If a call does not reach them, the next kevent() finds that out (signals.cc: refresh()).
//
// Built only where the C library has other names for the two. Weak: a program that links the static
// library may have its own. Any thread, any lock, signal handlers, children of vfork().
#include "program_actions.h"

#if defined(KQ_HEARS_SIGACTION)

    #include <errno.h>

    #include "dispositions.h"
    #include "signal_hub.h"
    #include "threading.h"

extern "C" {
using SignalFunction = void (*)(int);
SignalFunction bsd_signal(int, SignalFunction);
}

namespace kq {
namespace {

// A signal handler may have interrupted the holder of the lock, so we must not wait for ever.
constexpr int kTries = 20;

// SIG_DFL usually means that the program wants to end, and raises the signal next.
bool takes_signals_away(int number, SignalFunction function) {
    return function != SIG_DFL || dispositions::is_ignored_by_default(number);
}

void note_change(int number) {
    if (number < 1 || number > signal_hub::kLastSignal) return;
    // Not in a child of vfork(), which is about to be another program.
    if (!dispositions::is_this_process() || !signal_hub::is_heard(number)) return;
    for (int i = 0; i < kTries && !signal_hub::try_refresh(signal_hub::bit_of(number)); i++)
        threading::yield();
}

}  // namespace
}  // namespace kq

extern "C" {

__attribute__((visibility("default"), weak)) int sigaction(
    int number, const struct sigaction* __restrict action,
    struct sigaction* __restrict before) noexcept {
    const int result = __sigaction(number, action, before);
    const int error = errno;
    if (result == 0 && action != nullptr && kq::takes_signals_away(number, action->sa_handler))
        kq::note_change(number);
    errno = error;
    return result;
}

__attribute__((visibility("default"), weak)) SignalFunction signal(
    int number, SignalFunction function) noexcept {
    const SignalFunction before = bsd_signal(number, function);
    const int error = errno;
    if (before != SIG_ERR && kq::takes_signals_away(number, function)) kq::note_change(number);
    errno = error;
    return before;
}

}  // extern "C"

#endif
