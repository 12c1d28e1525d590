// EVFILT_LIBKQUEUE: questions to the library itself (semantics 5.14).
// Has no knotes: a change is answered at once. Needs no lock of a kqueue; the
// settings are those of the process.
#include "filter.h"
#include "platform.h"
#include "registry.h"
#include "trace.h"

// From project(VERSION) in CMakeLists.txt.
#ifndef KQ_VERSION_MAJOR
    #error "KQ_VERSION_MAJOR, _MINOR and _PATCH come from CMake"
#endif
#define KQ_STRINGIFY(x) #x
#define KQ_STRING(x) KQ_STRINGIFY(x)

namespace kq {
namespace {

// MMmmpprr: major, minor, patch, release, a byte each.
constexpr uint32_t kVersionNumber = uint32_t{KQ_VERSION_MAJOR} << 24 |
                                    uint32_t{KQ_VERSION_MINOR} << 16 |
                                    uint32_t{KQ_VERSION_PATCH} << 8;
constexpr char kVersionText[] =
    KQ_STRING(KQ_VERSION_MAJOR) "." KQ_STRING(KQ_VERSION_MINOR) "." KQ_STRING(KQ_VERSION_PATCH);

// A pointer given in udata or, as some programs do, in data.
template <class T>
T pointer_argument(const struct kevent& kev) {
    return reinterpret_cast<T>(kev.udata != nullptr ? kev.udata
                                                    : reinterpret_cast<void*>(kev.data));
}

// Only 0 and 1 are settings.
bool is_switch(intptr_t data) {
    return data == 0 || data == 1;
}

}  // namespace

Errno answer_library_question(struct kevent& reply) {
    if ((reply.flags & EV_ADD) == 0) return Errno::no_entry;
    const bool on = reply.data == 1;
    switch (reply.fflags) {
        case NOTE_VERSION:
            reply.data = static_cast<intptr_t>(kVersionNumber);
            break;
        case NOTE_VERSION_STR:
            // The ABI has no pointer to const; the string is not to be written to.
            reply.udata = const_cast<char*>(kVersionText);
            break;
        case NOTE_THREAD_SAFE:
            if (!is_switch(reply.data)) return Errno::invalid;
            reply.data = 1;  // always: there is no unlocked mode to switch to
            break;
        case NOTE_FORK_CLEANUP:
            if (!is_switch(reply.data)) return Errno::invalid;
            reply.data = registry::set_fork_cleanup(on) ? 1 : 0;
            break;
        case NOTE_DEBUG:
            if (!is_switch(reply.data)) return Errno::invalid;
            reply.data = trace_set_enabled(on) ? 1 : 0;
            break;
        case NOTE_DEBUG_PREFIX:
            reply.data =
                reinterpret_cast<intptr_t>(trace_set_prefix(pointer_argument<const char*>(reply)));
            break;
        case NOTE_DEBUG_FUNC:
            reply.data = reinterpret_cast<intptr_t>(
                trace_set_function(pointer_argument<TraceFunction>(reply)));
            break;
        case NOTE_FILE_POLL_INTERVAL:
            return set_file_poll_interval(reply.data);
        default:
            return Errno::invalid;
    }
    // What is the library's to say is no answer of ours if the program said it.
    reply.flags = static_cast<uint16_t>((reply.flags & ~EV_SYSFLAGS) | EV_RECEIPT);
    return Errno::ok;
}

}  // namespace kq
