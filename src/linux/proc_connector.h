// The process connector: netlink messages of the kernel about every fork, exec
// and exit of the system. One socket for the whole process, open only between
// processes::listen() and stop_listening() (platform.h), whose lock holds here.
//
// The kernel offers it in the first network and pid namespaces, before Linux 6.6
// to CAP_NET_ADMIN only.
#ifndef KQ_LINUX_PROC_CONNECTOR_H
#define KQ_LINUX_PROC_CONNECTOR_H

namespace kq::connector {

// The socket, readable while there are news; -1 while nobody listens.
int descriptor();

}  // namespace kq::connector

#endif
