// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_LIBKQUEUE: questions to the library itself (semantics 5.14). There are no knotes: a change
// is answered at once. The settings are those of the process, except NOTE_COUNT_DATA, which is one
// of the kqueue.
#include <stdlib.h>

#include <atomic>

#include "filter.h"
#include "knote_queue.h"
#include "platform.h"
#include "registry.h"
#include "trace.h"

// From project(VERSION) in CMakeLists.txt; KQ_BACKEND, a string, is the platform directory's name.
#if !defined(KQ_VERSION_MAJOR) || !defined(KQ_BACKEND)
    #error "KQ_VERSION_MAJOR, _MINOR and _PATCH, and KQ_BACKEND, come from CMake"
#endif
#define KQ_STRINGIFY(x) #x
#define KQ_STRING(x) KQ_STRINGIFY(x)
#define KQ_DOTTED(a, b, c) KQ_STRING(a) "." KQ_STRING(b) "." KQ_STRING(c)

namespace kq {
namespace {

// MMmmpprr: major, minor, patch, release, a byte each.
constexpr uint32_t kVersionNumber = uint32_t{KQ_VERSION_MAJOR} << 24 |
                                    uint32_t{KQ_VERSION_MINOR} << 16 |
                                    uint32_t{KQ_VERSION_PATCH} << 8;
// "3.0.0 (linux)": the number comes first, because programs compare it.
constexpr char kVersionText[] =
    KQ_DOTTED(KQ_VERSION_MAJOR, KQ_VERSION_MINOR, KQ_VERSION_PATCH) " (" KQ_BACKEND ")";

// A pointer given in data, as for the C libkqueue, which does not look at udata; or else in udata.
template <class T>
T pointer_argument(const struct kevent& kev) {
    return reinterpret_cast<T>(kev.data != 0 ? reinterpret_cast<void*>(kev.data) : kev.udata);
}

// Only 0 and 1 are settings.
bool is_switch(intptr_t data) {
    return data == 0 || data == 1;
}

}  // namespace

bool counts_data_by_default() {
    static constinit std::atomic<int> known{-1};
    if (known.load(std::memory_order_relaxed) < 0) {
        const char* value = getenv("KQUEUE_COUNT_DATA");
        const bool off = value != nullptr && value[0] == '0' && value[1] == '\0';
        known.store(off ? 0 : 1);
    }
    return known.load(std::memory_order_relaxed) == 1;
}

// Under the mutex of kq; only that it is not known to the table of filters.
Errno answer_library_question(KnoteQueue& kq, struct kevent& reply) KQ_NO_ANALYSIS {
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
            if (reply.data < 0 || reply.data > kTraceLevels) return Errno::invalid;
            reply.data =
                static_cast<intptr_t>(trace_set_level(static_cast<TraceLevel>(reply.data)));
            break;
        case NOTE_DEBUG_PREFIX:
            trace_set_prefix(pointer_argument<const char*>(reply));
            reply.data = 0;  // the old prefix cannot be returned: it is a copy
            break;
        case NOTE_DEBUG_FUNC:
            reply.data = reinterpret_cast<intptr_t>(
                trace_set_function(pointer_argument<TraceFunction>(reply)));
            break;
        case NOTE_COUNT_DATA:
            if (!is_switch(reply.data)) return Errno::invalid;
            reply.data = kq.set_counts_data(on) ? 1 : 0;
            break;
        case NOTE_FILE_POLL_INTERVAL:
            return set_file_poll_interval(reply.data);
        default:
            return Errno::invalid;
    }
    // Clears the flags that only the library sets, in case the program has set them.
    reply.flags = static_cast<uint16_t>((reply.flags & ~EV_SYSFLAGS) | EV_RECEIPT);
    return Errno::ok;
}

}  // namespace kq
