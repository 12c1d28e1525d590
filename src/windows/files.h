// SPDX-License-Identifier: BSD-2-Clause
// What those descriptors of the C library say that are no sockets: files, pipes, consoles, devices.
// For descriptor.cc and the files that look at them. No state, no lock.
#ifndef KQ_WINDOWS_FILES_H
#define KQ_WINDOWS_FILES_H

#include "platform_types.h"

namespace kq::files {

// Fills facts. bad_descriptor: not open.
Errno classify(int fd, FdFacts& facts);
// A number that differs for another file of the same descriptor. 0: not open.
uint32_t identity(int fd);
// A number for the file behind a handle, which shows whether two are the same. 0: unknown.
uint32_t file_of_handle(void* handle);

uint16_t poll(int fd, Direction direction);
int64_t bytes_in_pipe(int fd);

Sample readable(int fd, const FdFacts& facts, uint16_t ready);
Sample writable(int fd, const FdFacts& facts, uint16_t ready);

}  // namespace kq::files

#endif
