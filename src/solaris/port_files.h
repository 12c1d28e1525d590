// SPDX-License-Identifier: BSD-2-Clause
// Watched files: PORT_SOURCE_FILE where the system reports changes. Elsewhere they are looked at
// (../posix/file_watch.h): no path, a file system that does not report, no room in the port.
//
// The system reports once that a file changed, and then is silent. The core finds out by comparing
// what has changed. Before that the file is associated again, with the times that it had at the
// last look; so a change since then is reported at once. The system knows a file by a path. After a
// rename that is another path, if there is one.
//
// Used by Backend; the kqueue's mutex.
#ifndef KQ_SOLARIS_PORT_FILES_H
#define KQ_SOLARIS_PORT_FILES_H

#include "../posix/file_watch.h"
#include "ports.h"

namespace kq {

class PortFiles {
  public:
    PortFiles() { looked_.set_prepare(&PortFiles::arm_again, this); }
    PortFiles(const PortFiles&) = delete;
    PortFiles& operator=(const PortFiles&) = delete;
    ~PortFiles();

    // As Backend::watch_file(), Backend::take_files().
    Errno set(int port, int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take(int port, FileWatch::Tell tell, void* context);

    // An event of the port.
    void report(const port_event_t& event);
    // Looks at the files that the system does not report; see FileWatch. True if there is something
    // to take().
    bool look(Nanos t, bool early) { return looked_.look(t, early); }
    [[nodiscard]] Nanos next_look() const { return looked_.next_look(); }
    [[nodiscard]] bool has_news() const { return looked_.has_news(); }
    // Whether the system reports changes of some files.
    [[nodiscard]] bool hears() const { return armed_ > 0; }

    // The kernel has dropped all associations.
    void lost_all(int port);

    // What the events of a port say, as FileChange bits.
    static uint32_t changes_of(int events);
    // FileChange bits as events of a port.
    static int events_for(uint32_t wanted);

  private:
    // Its address is the association's key.
    struct Object {
        file_obj_t file;
        int fd;
        bool armed;
        int events;  // that are wanted
        char* path;
    };

    static void arm_again(void* self, int32_t watch);
    void arm(int32_t watch);
    void disarm(Object& object, bool in_kernel);
    bool find_path(Object& object);
    void remove(int32_t watch);

    FileWatch looked_;
    Object** objects_ = nullptr;  // by FdFacts::file_watch less one; null: there is none
    size_t count_ = 0;
    size_t capacity_ = 0;
    size_t armed_ = 0;  // how many
    int port_ = -1;
};

}  // namespace kq

#endif
