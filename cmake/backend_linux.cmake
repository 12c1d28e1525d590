# epoll, eventfd, timerfd.
set(KQUEUE_BACKEND_SOURCES
    src/linux/backend.cc
    src/linux/anchors.cc
    src/linux/descriptor.cc
    src/linux/sockets.cc
    src/linux/vnodes.cc
    src/linux/children.cc
    src/linux/proc_connector.cc)
set(KQUEUE_BACKEND_DEFINITIONS _GNU_SOURCE)
