// SPDX-License-Identifier: BSD-2-Clause
// What descriptors of the C library say that are no sockets: files, pipes, consoles, devices.
// For descriptor.cc and the rooms that look at them. No state, no lock.
#ifndef KQ_WINDOWS_FILES_H
#define KQ_WINDOWS_FILES_H

#include "platform_types.h"

namespace kq::files {

// Fills facts. bad_descriptor: not open.
Errno classify(int fd, FdFacts& facts);
// To tell another file of the same number. 0: not open.
uint32_t identity(int fd);
// The file behind a handle, to tell whether two are the same. 0: that cannot be told.
uint32_t file_of_handle(void* handle);

uint16_t poll(int fd, Direction direction);
int64_t bytes_in_pipe(int fd);

Sample readable(int fd, const FdFacts& facts, uint16_t ready);
Sample writable(int fd, const FdFacts& facts, uint16_t ready);

}  // namespace kq::files

#endif
