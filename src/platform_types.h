// SPDX-License-Identifier: BSD-2-Clause
// The words that core and platform speak: see platform.h.
#ifndef KQ_PLATFORM_TYPES_H
#define KQ_PLATFORM_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "handle.h"
#include "nanos.h"
#include "result.h"

namespace kq {

// ---- interest in a descriptor, and what a kernel says about it ----

enum class Direction : uint8_t { read = 0, write = 1 };
inline constexpr int kDirections = 2;

// Where a backend often asks which kqueue a number is, it may have no room for a whole tag. Then it
// may use the tag modulo this: as long as no more kqueues than this exist, no two of them have the
// same remainder.
inline constexpr uint32_t kMarks = 48;

// How the kernel is to report a direction of a descriptor.
enum class Mode : uint8_t {
    none,   // not at all
    level,  // on every collect() while it is ready
    edge,   // when it becomes ready or more arrives; once at once if it is ready now
    once,   // like edge, then silent until armed again
};

// The whole interest in one descriptor, by Direction.
struct Interest {
    Mode mode[kDirections] = {Mode::none, Mode::none};

    Mode& operator[](Direction d) { return mode[static_cast<int>(d)]; }
    Mode operator[](Direction d) const { return mode[static_cast<int>(d)]; }
};

// Whether an error says that the number is not the file it was: it names another one, or is not
// open. All other errors (memory, a signal, a file system that is out of reach) say nothing about
// that.
constexpr bool is_gone(Errno error) {
    return error == Errno::no_entry || error == Errno::bad_descriptor;
}

// Ready bits, as a kernel reports them (its own words, not yet those of BSD). The numbers are those
// of epoll, so that linux/ need not translate them; no other code may rely on that.
enum Ready : uint16_t {
    kReadable = 1,
    kWritable = 4,
    kFailed = 8,           // an error is pending, or the reader of a pipe is gone
    kHangup = 16,          // both directions are closed, or never were open
    kClosed = 32,          // the descriptor is not open (answer of descriptor::poll; see also
                           // tells_closed() in optional_members.h)
    kChanged = 64,         // a watched file changed
    kReadHangup = 0x2000,  // the peer will send no more
};

// One report of the kernel queue. Without initialisers: arrays of it stand on
// the stack of every call.
struct Wakeup {
    Handle handle;
    uint16_t ready;  // Ready bits, for descriptors
    uint8_t lane;    // for descriptors: which of its registrations reported (FdFacts::lane)
};

// What kind of open file a descriptor is; decides what its readiness means.
enum class FdKind : uint8_t {
    unknown = 0,
    tcp,
    unix_stream,
    stream,  // other connection-oriented byte streams
    seqpacket,
    datagram,
    pipe,  // and FIFO
    regular,
    directory,
    always,  // devices that cannot be waited for: ready at all times
    eventfd,
    other,   // ttys, timers, and all other files that can be waited for
    kqueue,  // one of ours; set by the core
};

constexpr bool is_socket(FdKind kind) {
    return kind == FdKind::tcp || kind == FdKind::unix_stream || kind == FdKind::stream ||
           kind == FdKind::seqpacket || kind == FdKind::datagram;
}

constexpr bool is_stream(FdKind kind) {
    return kind == FdKind::tcp || kind == FdKind::unix_stream || kind == FdKind::stream;
}

// What core and platform remember about the open file behind a number: there is one for each
// descriptor up to the largest that is watched, so it is kept small. All
// zero: nothing is known of the number. Reset when the number is
// found to name another open file.
struct FdFacts {
    FdKind kind = FdKind::unknown;
    bool readable_end : 1 = false;  // opened for reading; valid once kind is known
    bool writable_end : 1 = false;  // opened for writing; valid once kind is known
    bool file_silent : 1 = false;   // backend's: no kernel tells of changes of this file
    bool file_untold : 1 = false;   // watch_file(): not all that is wanted will be told
    bool file_shared : 1 = false;   // watch_file(): changes from before the call may be reported
    bool file_late : 1 = false;     // watch_file(): it is looked at now and then, no more
    bool was_alive : 1 = false;     // set by the platform: a connection, and seen to be one
    bool has_ended : 1 = false;     // platform's: a connection, and seen at its end
    uint8_t registered = 0;         // backend's: which of its lanes have this descriptor
    uint8_t lane[kDirections] = {0, 0};  // backend's: which lane reports a direction
    Mode armed[kDirections] = {Mode::none, Mode::none};  // what the kernel was last told, less
                                                         // what it has disarmed since by reporting
    uint8_t errors_told = 0;   // platform's: when a queue of errors was last told of
    uint32_t identity = 0;     // to recognise another file; of a kqueue: the core's
    int32_t file_watch = 0;    // backend's: of watch_file()
    int32_t parent_watch = 0;  // backend's: of the directory that holds a directory

    [[nodiscard]] Mode armed_for(Direction d) const { return armed[static_cast<int>(d)]; }
};

// What happened to a watched file, as kernels tell it. vnode_hints.cc decides what this
// means for EVFILT_VNODE.
enum FileChange : uint32_t {
    kModified = 1 << 0,    // the contents: written or truncated
    kAttributes = 1 << 1,  // mode, owner, times or the number of links
    kMoved = 1 << 2,       // renamed
    kRemoved = 1 << 3,     // its last name may be gone: the number of links says
    kUnmounted = 1 << 4,   // with its file system
    // What happened to a directory: entries
    kEntryChanged = 1 << 5,         // were made or removed,
    kSubdirectoryChanged = 1 << 6,  // the same, and they are directories
    kEntryMoved = 1 << 7,           // came from, or went to, another directory,
    kSubdirectoryMoved = 1 << 8,    // the same, and they are directories
    kEntryRenamed = 1 << 9,         // got other names within
    kFileOpened = 1 << 10,
    kFileClosed = 1 << 11,       // a descriptor without write access was closed
    kFileClosedWrite = 1 << 12,  // a descriptor with write access was closed
    kFileRead = 1 << 13,
    kUnknown = 1 << 14,  // look yourself (never wanted, always told)
    kLost = 1 << 15,     // as kUnknown; and changes that leave no trace may have happened, too
    // The last name is gone, and nothing more will be told until watch_file() is called again. If
    // the number names a file that has one, that is another file, even if it looks the same: file
    // systems use inode numbers again (never wanted, always told).
    kGone = 1 << 16,
    // Of a directory: as kAttributes; if it is gone, only because another one took its place.
    kReplaced = 1 << 17,
    // Beside kAttributes: that was told more than once.
    kAttributesAgain = 1 << 18,
};

// What happened to the file systems that a process can see.
enum MountChange : uint32_t {
    kMounted = 1 << 0,
    kTakenAway = 1 << 1,  // unmounted
};

// States of a descriptor, other than "readable" and "writable", that a platform may report: see
// capabilities.h.
enum StateChange : uint8_t {
    kUrgentData = 1 << 0,    // urgent data came, or the peer will send no more
    kProcessEnded = 1 << 1,  // the process that the descriptor names has ended
};

// What can be seen of a file.
struct FileState {
    int64_t size = 0;
    uint64_t links = 0;
    uint64_t name = 0;  // changes with the name; 0: not known. Set by the core: descriptor::name()
    int64_t modified = 0;  // when contents, in ns
    int64_t changed = 0;   // when contents or attributes
    uint32_t mode = 0;
    uint32_t owner = 0;
    uint32_t group = 0;
    bool directory = false;
    bool named = false;  // lives in a file system: not a socket, an anonymous pipe, a kqueue
};

// What a descriptor says about a direction now, in the terms of BSD.
struct Sample {
    bool active = false;    // worth reporting, if no low-water mark is asked for
    bool eof = false;       // EV_EOF: active with any mark
    bool unmarked = false;  // `active` is true with any mark (a listener, a pending error)
    // Not active, and no kernel reports when that changes; or the answer is not known just now.
    bool untold = false;
    // Active, and there may be more to read than `data` says, for which no edge will come.
    bool uncounted = false;
    bool closed = false;  // the number is not an open descriptor (any more)
    uint32_t error = 0;   // with eof: the errno of the connection
    int64_t data = 0;     // bytes, connections, free space: see semantics 5.1, 5.2
};

// ---- processes ----

// What the platform remembers of a watched process. All zero before
// watch_process() and after unwatch_process().
struct ProcessFacts {
    int32_t pid = 0;
    void* place = nullptr;  // backend's: where it keeps what names the process
    uint64_t started = 0;   // backend's: tells it from a later one of the same pid
};

enum class Life : uint8_t {
    running,
    exited,          // with this status
    exited_later,    // its status cannot be known yet, but perhaps when it is reaped
    exited_unknown,  // its status cannot be known
};

// One thing that a process of the system did.
struct ProcessNews {
    enum class What : uint8_t { forked, executed, exited };
    What what;
    int32_t pid;  // who did it
    int32_t arg;  // forked: the child; exited: the status as of wait()
};

// ---- the kernel queue ----

// How the public descriptor shows that the core itself has events pending.
enum class Announce : uint8_t {
    ring,  // readable until the next collect(); all threads that wait for it are woken
    hold,  // readable until `release`; need not wake those who know
    release,
};

}  // namespace kq

#endif
