// SPDX-License-Identifier: BSD-2-Clause
// AFD: the kernel's side of Winsock. It can be asked to report when a socket is ready
// (IOCTL_AFD_POLL); select() is built on that. A request is answered once, with what is true at
// that time or becomes true later. The answer is a packet of the completion port to which the
// device is bound.
//
// No lock: a Devices and its Polls are guarded by their owner.
#ifndef KQ_WINDOWS_AFD_H
#define KQ_WINDOWS_AFD_H

#include <stddef.h>
#include <stdint.h>

#include "result.h"

namespace kq::afd {

// What is asked for and answered.
enum Event : uint32_t {
    kReceive = 0x1,
    kSend = 0x4,
    kDisconnect = 0x8,   // the peer will send no more
    kAbort = 0x10,       // the connection was reset
    kLocalClose = 0x20,  // the socket was closed in this process
    kAccept = 0x80,
    kConnectFail = 0x100,
};

struct Device;

// One request. Its memory must live until its packet was taken from the port, or forget_all().
struct Poll {
    struct {
        union {
            int32_t status;
            void* pointer;
        };
        uintptr_t information;
    } result;
    struct {
        int64_t timeout;
        uint32_t count;
        uint32_t exclusive;
        struct {
            void* handle;
            uint32_t events;
            int32_t status;
        } one;
    } info;
    Device* device;   // from Devices::reserve()
    uint32_t asked;   // while outstanding: the events
    bool pending;     // a packet will come, or is there
    bool cancelling;  // cancel() was called for this one
};

// Devices that are bound to one port. A device walks through all its polls each time, so each has
// only a few.
class Devices {
  public:
    Devices() = default;
    ~Devices();
    Devices(const Devices&) = delete;
    Devices& operator=(const Devices&) = delete;

    // Packets will have this key. Their object is the Poll.
    void bind(void* port, uintptr_t key) {
        port_ = port;
        key_ = key;
    }
    // A device for one poll at a time. Errors: no_memory, too_many_open; no_entry: there is no AFD.
    Result<Device*> reserve();
    static void give_back(Device& device);

  private:
    void* port_ = nullptr;
    uintptr_t key_ = 0;
    Device* first_ = nullptr;
};

// Asks for events of a socket (the base handle). Not while the poll is pending. If there is no
// error, a packet will come.
Errno submit(Poll& poll, uintptr_t socket, uint32_t events);
// Makes the packet of the poll come soon. Only while it is pending.
void cancel(Poll& poll);
// The events of a packet that was taken from the port; 0: the poll was cancelled, or has failed.
uint32_t events_of(Poll& poll);
// Whether an outstanding poll was answered with an error, as a cancelled one is. Before
// events_of().
bool has_failed(const Poll& poll);

// What is true of a socket now, without waiting.
struct Look {
    uint32_t events = 0;
    long status = 0;  // with kConnectFail, why: an NTSTATUS
};
Look look(uintptr_t socket, uint32_t events);

// The socket below layered providers, which is the one that AFD knows. 0: the number is no socket.
uintptr_t base_of(int socket);

}  // namespace kq::afd

#endif
