// SPDX-License-Identifier: BSD-2-Clause
// The names of numbers. See trace_names.h.
#include "trace_names.h"

#include <inttypes.h>
#include <stdio.h>

#include <span>

#include "filter.h"
#include "filter_numbers.h"
#include "platform.h"

namespace kq::names {
namespace {

// `text` is printed if the bits of `mask` are exactly `value`.
struct Name {
    unsigned mask;
    unsigned value;
    const char* text;
};

#define KQ_BIT(name) \
    { name, name, #name }
#define KQ_FIELD(mask, name) \
    { mask, name, #name }

constexpr Name kFlags[] = {
    KQ_BIT(EV_ADD),       KQ_BIT(EV_DELETE),       KQ_BIT(EV_ENABLE),         KQ_BIT(EV_DISABLE),
    KQ_BIT(EV_ONESHOT),   KQ_BIT(EV_CLEAR),        KQ_BIT(EV_RECEIPT),        KQ_BIT(EV_DISPATCH),
    KQ_BIT(EV_KEEPUDATA), KQ_BIT(EV_FORCEONESHOT), KQ_BIT(EV_UDATA_SPECIFIC), KQ_BIT(EV_VANISHED),
    KQ_BIT(EV_ERROR),     KQ_BIT(EV_EOF),
};
constexpr Name kLowat[] = {KQ_BIT(NOTE_LOWAT)};
constexpr Name kExcept[] = {{kNoteOob, kNoteOob, "NOTE_OOB"}};
constexpr Name kVnode[] = {
    KQ_BIT(NOTE_DELETE), KQ_BIT(NOTE_WRITE),  KQ_BIT(NOTE_EXTEND),      KQ_BIT(NOTE_ATTRIB),
    KQ_BIT(NOTE_LINK),   KQ_BIT(NOTE_RENAME), KQ_BIT(NOTE_REVOKE),      KQ_BIT(NOTE_TRUNCATE),
    KQ_BIT(NOTE_CLOSE),  KQ_BIT(NOTE_READ),   KQ_BIT(NOTE_CLOSE_WRITE), KQ_BIT(NOTE_OPEN),
};
constexpr Name kProc[] = {
    KQ_BIT(NOTE_EXIT),  KQ_BIT(NOTE_FORK),     KQ_BIT(NOTE_EXEC),  KQ_BIT(NOTE_EXITSTATUS),
    KQ_BIT(NOTE_TRACK), KQ_BIT(NOTE_TRACKERR), KQ_BIT(NOTE_CHILD),
};
constexpr Name kTimer[] = {
    KQ_BIT(NOTE_SECONDS),    KQ_BIT(NOTE_USECONDS),
    KQ_BIT(NOTE_NSECONDS),   KQ_BIT(NOTE_ABSOLUTE),
    KQ_BIT(NOTE_LEEWAY),     KQ_BIT(NOTE_CRITICAL),
    KQ_BIT(NOTE_BACKGROUND), {kNoteContinuous, kNoteContinuous, "NOTE_MACH_CONTINUOUS_TIME"},
    KQ_BIT(NOTE_MACHTIME),
};
constexpr Name kUser[] = {
    KQ_BIT(NOTE_TRIGGER),
    KQ_FIELD(NOTE_FFCTRLMASK, NOTE_FFAND),
    KQ_FIELD(NOTE_FFCTRLMASK, NOTE_FFOR),
    KQ_FIELD(NOTE_FFCTRLMASK, NOTE_FFCOPY),
};
constexpr Name kFs[] = {
    KQ_BIT(VQ_NOTRESP), KQ_BIT(VQ_NEEDAUTH), KQ_BIT(VQ_LOWDISK), KQ_BIT(VQ_MOUNT),
    KQ_BIT(VQ_UNMOUNT), KQ_BIT(VQ_DEAD),     KQ_BIT(VQ_ASSIST),  KQ_BIT(VQ_NOTRESPLOCK),
};
constexpr Name kLibrary[] = {
    KQ_FIELD(~0u, NOTE_VERSION),     KQ_FIELD(~0u, NOTE_VERSION_STR),
    KQ_FIELD(~0u, NOTE_THREAD_SAFE), KQ_FIELD(~0u, NOTE_FORK_CLEANUP),
    KQ_FIELD(~0u, NOTE_DEBUG),       KQ_FIELD(~0u, NOTE_DEBUG_PREFIX),
    KQ_FIELD(~0u, NOTE_DEBUG_FUNC),  KQ_FIELD(~0u, NOTE_FILE_POLL_INTERVAL),
    KQ_FIELD(~0u, NOTE_COUNT_DATA),
};
constexpr Name kErrors[] = {
    KQ_FIELD(~0u, EACCES),    KQ_FIELD(~0u, EBADF),        KQ_FIELD(~0u, EFAULT),
    KQ_FIELD(~0u, EINTR),     KQ_FIELD(~0u, EINVAL),       KQ_FIELD(~0u, ELOOP),
    KQ_FIELD(~0u, EMFILE),    KQ_FIELD(~0u, ENFILE),       KQ_FIELD(~0u, ENOENT),
    KQ_FIELD(~0u, ENOMEM),    KQ_FIELD(~0u, ENOSPC),       KQ_FIELD(~0u, ENOSYS),
    KQ_FIELD(~0u, EPERM),     KQ_FIELD(~0u, ENOTSUP),      KQ_FIELD(~0u, ESRCH),
    KQ_FIELD(~0u, EPIPE),     KQ_FIELD(~0u, ECONNREFUSED), KQ_FIELD(~0u, ECONNRESET),
    KQ_FIELD(~0u, ETIMEDOUT), KQ_FIELD(~0u, EINPROGRESS),
};
constexpr Name kReady[] = {
    {kReadable, kReadable, "readable"}, {kWritable, kWritable, "writable"},
    {kHangup, kHangup, "hangup"},       {kReadHangup, kReadHangup, "read hangup"},
    {kFailed, kFailed, "failed"},       {kChanged, kChanged, "changed"},
};

#undef KQ_BIT
#undef KQ_FIELD

void append_bits(Text& text, unsigned bits, std::span<const Name> names) {
    const char* between = "";
    for (const Name& name : names) {
        if ((bits & name.mask) != name.value) continue;
        text.append("%s%s", between, name.text);
        between = "|";
        bits &= ~name.mask;
        if (bits == 0) return;
    }
    text.append("%s0x%x", between, bits);
}

std::span<const Name> notes_of(short filter) {
    switch (filter) {
        case EVFILT_READ:
        case EVFILT_WRITE:
            return kLowat;
        case EVFILT_VNODE:
            return kVnode;
        case kEvfiltExcept:
            return kExcept;
        case EVFILT_PROC:
        case kEvfiltProcdesc:
            return kProc;
        case EVFILT_TIMER:
            return kTimer;
        case EVFILT_USER:
            return kUser;
        case EVFILT_FS:
            return kFs;
        case EVFILT_LIBKQUEUE:
            return kLibrary;
        default:
            return {};
    }
}

}  // namespace

const char* name_of(short filter) {
    if (filter == EVFILT_LIBKQUEUE) return "EVFILT_LIBKQUEUE";
    const FilterOps* ops = find_filter(filter);
    return ops == nullptr ? nullptr : ops->name;
}

void Text::append(const char* format, ...) {  // NOLINT(cert-dcl50-cpp): the compiler checks it
    va_list arguments;
    va_start(arguments, format);
    append_list(format, arguments);
    va_end(arguments);
}

void Text::append_list(const char* format, va_list arguments) {
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a known false alarm of this version
    const int n = vsnprintf(text_ + used_, sizeof text_ - used_, format, arguments);
    if (n > 0) used_ += static_cast<size_t>(n);
    if (used_ >= sizeof text_) used_ = sizeof text_ - 1;
}

void append_signal(Text& text, uintptr_t number) {
    if (const char* name = signal_name(number)) text.append(" %s", name);
}

void append(Text& text, const struct kevent& kev) {
    text.append("{ident %" PRIuPTR, kev.ident);
    if (kev.filter == EVFILT_SIGNAL) append_signal(text, kev.ident);
    text.append(", ");
    if (const char* name = name_of(kev.filter))
        text.append("%s, ", name);
    else
        text.append("filter %d, ", kev.filter);
    append_bits(text, kev.flags, kFlags);
    text.append(", fflags ");
    append_bits(text, kev.fflags, notes_of(kev.filter));
    text.append(", data ");
    if ((kev.flags & EV_ERROR) != 0 && kev.data != 0)
        append(text, static_cast<Errno>(kev.data));
    else
        text.append("%" PRIdPTR, kev.data);
    text.append(", udata 0x%" PRIxPTR "}", reinterpret_cast<uintptr_t>(kev.udata));
}

void append(Text& text, Errno error) {
    for (const Name& name : kErrors)
        if (name.value == static_cast<unsigned>(to_int(error))) {
            text.append("%s", name.text);
            return;
        }
    text.append("errno %d", to_int(error));
}

void append(Text& text, const Wakeup& wakeup) {
    const Handle handle = wakeup.handle;
    switch (handle.kind()) {
        case Handle::Kind::descriptor:
            text.append("descriptor %u ", handle.index());
            append_bits(text, wakeup.ready, kReady);
            return;
        case Handle::Kind::announcement:
            text.append("events of the program");
            return;
        case Handle::Kind::timers:
            text.append("timers");
            return;
        case Handle::Kind::files:
            text.append("files changed");
            return;
        case Handle::Kind::signals:
            text.append("signals");
            return;
        case Handle::Kind::process:
            text.append("process %u", handle.index());
            return;
        case Handle::Kind::processes:
            text.append("news of processes");
            return;
        case Handle::Kind::states:
            text.append("states of descriptors");
            return;
        case Handle::Kind::mounts:
            text.append("file systems came or went");
            return;
        default:
            text.append("something unknown");
            return;
    }
}

}  // namespace kq::names
