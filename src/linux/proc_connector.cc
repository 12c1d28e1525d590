// SPDX-License-Identifier: BSD-2-Clause
// The netlink process connector. See proc_connector.h.
#include "proc_connector.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <string.h>

#include <atomic>

#include "own_file.h"
#include "platform.h"
#include "sys.h"

namespace kq {
namespace {

// Under the process hub's mutex, except for connector::descriptor().
constinit std::atomic<int> the_socket{-1};

void close_socket() {
    int fd = the_socket.exchange(-1);
    own_file::close(fd, &the_socket);
}

// What the kernel may hold for us before messages are lost: about 2,500 messages, where we are
// allowed that much.
constexpr int kBuffer = 1 << 20;

// ---- telling the kernel ----

// struct proc_input of Linux 6.6. Earlier kernels know its first member only.
struct Input {
    uint32_t operation;
    uint32_t events;
};
constexpr uint32_t kForks = 0x00000001;  // PROC_EVENT_FORK and so on
constexpr uint32_t kExecs = 0x00000002;
constexpr uint32_t kExits = 0x80000000;

// struct cn_msg, without the array at its end.
struct Message {
    cb_id id;
    uint32_t sequence;
    uint32_t acknowledged;
    uint16_t len;
    uint16_t flags;
};
static_assert(sizeof(Message) == sizeof(cn_msg));

struct Request {
    nlmsghdr header;
    Message message;
    Input input;
};

// The error of a refusal that may pass: memory or descriptors are short. Otherwise unsupported.
Errno shortage() {
    const Errno error = sys::refusal();
    const bool passes = error == Errno::no_memory || error == Errno::too_many_open ||
                        error == Errno::too_many_open_in_system;
    return passes ? error : Errno::unsupported;
}

Errno tell(uint32_t operation, size_t size) {
    Request request{};
    request.header.nlmsg_len = static_cast<uint32_t>(sizeof request - sizeof(Input) + size);
    request.header.nlmsg_type = NLMSG_DONE;
    request.message.id = {CN_IDX_PROC, CN_VAL_PROC};
    request.message.len = static_cast<uint16_t>(size);
    request.input = {operation, kForks | kExecs | kExits};
    const size_t length = request.header.nlmsg_len;
    const ssize_t sent = sys::send(the_socket, &request, length, MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(length) ? Errno::ok : shortage();
}

// ---- hearing the kernel ----

constexpr int kBatch = 32;
struct Received {
    // The event in a message is not aligned: it follows 36 bytes.
    alignas(nlmsghdr) unsigned char bytes[256];
    sockaddr_nl sender;
};

// Where messages go. Not on the caller's stack, which may be small. One is enough, because the
// hub's mutex guards it.
struct Receiver {
    Received received[kBatch];
    mmsghdr headers[kBatch];
    iovec vectors[kBatch];
};
constinit Receiver receiver{};

// As recvmmsg(), into `receiver`, without waiting. The size of each message is in msg_len.
long receive(size_t most) {
    auto& [received, headers, vectors] = receiver;
    memset(headers, 0, sizeof headers);
    const size_t count = most < kBatch ? most : size_t{kBatch};
    for (size_t i = 0; i < count; i++) {
        vectors[i] = {received[i].bytes, sizeof received[i].bytes};
        headers[i].msg_hdr.msg_iov = &vectors[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        headers[i].msg_hdr.msg_name = &received[i].sender;
        headers[i].msg_hdr.msg_namelen = sizeof received[i].sender;
    }
    return syscall(SYS_recvmmsg, the_socket.load(), headers, count, MSG_DONTWAIT, nullptr);
}

// The event in a message that was received; false if the kernel did not send it.
bool parse(long place, proc_event& event) {
    const Received& received = receiver.received[place];
    const size_t size = receiver.headers[place].msg_len;
    constexpr size_t kBefore = sizeof(nlmsghdr) + sizeof(Message);
    // Up to the last member that is used: old kernels send less than the headers declare.
    constexpr size_t kNeeded = offsetof(proc_event, event_data) + 16;
    if (received.sender.nl_pid != 0 || size < kBefore + kNeeded) return false;
    Message message;
    memcpy(&message, received.bytes + sizeof(nlmsghdr), sizeof message);
    if (message.id.idx != CN_IDX_PROC || message.id.val != CN_VAL_PROC) return false;
    memset(&event, 0, sizeof event);
    const size_t rest = size - kBefore;
    memcpy(&event, received.bytes + kBefore, rest < sizeof event ? rest : sizeof event);
    return true;
}

// Translates events of processes only: a thread is no news.
bool translate(const proc_event& event, ProcessNews& news) {
    using What = ProcessNews::What;
    const auto& data = event.event_data;
    switch (static_cast<uint32_t>(event.what)) {
        case kForks:
            news = {What::forked, data.fork.parent_tgid, data.fork.child_tgid};
            return data.fork.child_pid == data.fork.child_tgid;
        case kExecs:
            news = {What::executed, data.exec.process_tgid, 0};
            return true;
        case kExits:
            news = {What::exited, data.exit.process_tgid,
                    static_cast<int32_t>(data.exit.exit_code)};
            return data.exit.process_pid == data.exit.process_tgid;
        default:
            return false;
    }
}

// The kernel has queued its answer before send() returned.
Errno hear_acknowledgement() {
    for (;;) {
        const long got = receive(kBatch);
        if (got <= 0) return got < 0 ? shortage() : Errno::unsupported;
        for (long i = 0; i < got; i++) {
            proc_event event;
            if (!parse(i, event)) continue;
            // News that came before the answer do not matter: no kqueue has asked for them yet.
            if (event.what == proc_event::PROC_EVENT_NONE)
                return event.event_data.ack.err == 0 ? Errno::ok : Errno::unsupported;
        }
    }
}

Errno check_namespace() {
    char target[40];
    const long n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/ns/pid", target, sizeof target);
    if (n < 0) return shortage();
    constexpr char kFirst[] = "pid:[4026531836]";  // PROC_PID_INIT_INO
    const bool first = n == sizeof kFirst - 1 && memcmp(target, kFirst, sizeof kFirst - 1) == 0;
    return first ? Errno::ok : Errno::unsupported;
}

Errno subscribe(size_t size) {
    const Errno error = tell(PROC_CN_MCAST_LISTEN, size);
    return error == Errno::ok ? hear_acknowledgement() : error;
}

// Opens the socket. If that is unsupported, `why` says what prevents it.
Errno open_socket(const char*& why) {
    why = "this is not the first pid namespace (or /proc is missing)";
    Errno error = check_namespace();
    if (error != Errno::ok) return error;
    why = "the kernel has none";
    constexpr int kType = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    the_socket = own_file::keep(socket(PF_NETLINK, kType, NETLINK_CONNECTOR), &the_socket);
    if (the_socket < 0) return shortage();
    why = "CAP_NET_ADMIN is missing (Linux 6.6 and later do not ask for it)";
    // Before bind(), from which on there are news.
    if (setsockopt(the_socket, SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof kBuffer) != 0)
        (void)setsockopt(the_socket, SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1u << (CN_IDX_PROC - 1);
    if (bind(the_socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return shortage();
    // The long form, with a selection; kernels that do not know it do not answer.
    why = "it does not answer here (as in containers with a network of their own)";
    error = subscribe(sizeof(Input));
    return error == Errno::unsupported ? subscribe(sizeof(uint32_t)) : error;
}

}  // namespace

int connector::descriptor() {
    return the_socket.load();
}

Errno processes::listen(const char*& why) {
    const Errno error = open_socket(why);
    if (error != Errno::ok) close_socket();
    return error;
}

void processes::stop_listening() {
    (void)tell(PROC_CN_MCAST_IGNORE, sizeof(Input));
    close_socket();
}

// Does not tell the kernel: the socket is the parent's, and the parent would hear no more.
void processes::abandon_in_child() {
    close_socket();
}

Result<size_t> processes::hear(std::span<ProcessNews> out) {
    for (;;) {
        const long got = receive(out.size());
        if (got < 0) {
            if (errno == ENOBUFS) return Errno::no_memory;
            return size_t{0};
        }
        size_t count = 0;
        for (long i = 0; i < got; i++) {
            proc_event event;
            if (parse(i, event) && translate(event, out[count])) count++;
        }
        if (count > 0 || got == 0) return count;
    }
}

}  // namespace kq
