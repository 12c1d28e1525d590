// SPDX-License-Identifier: BSD-2-Clause
// The state of descriptors of the C library that are no sockets: files, pipes, consoles, devices.
// For descriptor.cc, and for the source files that look at such descriptors. No state, no lock.
#ifndef KQ_WINDOWS_FILES_H
#define KQ_WINDOWS_FILES_H

#include "platform_types.h"

namespace kq::files {

// Fills facts. bad_descriptor: not open.
Errno classify(int fd, FdFacts& facts);
// Whether the descriptor still is the file that was classified. no_entry: it is another one;
// bad_descriptor: not open.
Errno check_same(int fd, const FdFacts& facts);
// A number for the file behind a handle, which shows whether two are the same. 0: unknown.
uint32_t file_of_handle(void* handle);
// A number for the name of the pipe behind a handle. 0: it has none.
uint64_t pipe_of_handle(void* handle);

uint16_t poll(int fd, Direction direction);
// Whether it is the end of a pipe that is written to.
bool is_writing_end(int fd);
int64_t bytes_in_pipe(int fd);

Sample readable(int fd, const FdFacts& facts, uint16_t ready);
Sample writable(int fd, const FdFacts& facts, uint16_t ready);

}  // namespace kq::files

#endif
