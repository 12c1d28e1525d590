// SPDX-License-Identifier: BSD-2-Clause
// The process connector: netlink messages of the kernel about every fork, exec and exit of the
// system. There is one socket for the whole process. It is open only between processes::listen()
// and stop_listening() (capabilities.h), and their lock guards it.
//
// The kernel offers it in the first network namespace and the first pid namespace; before Linux 6.6
// to CAP_NET_ADMIN only.
#ifndef KQ_LINUX_PROC_CONNECTOR_H
#define KQ_LINUX_PROC_CONNECTOR_H

namespace kq::connector {

// The socket, which is readable while there are news; -1 except between listen() and
// stop_listening().
int descriptor();

}  // namespace kq::connector

#endif
