// SPDX-License-Identifier: BSD-2-Clause
// The device (stat::st_dev) that all pipes without a name are on. Any thread, no lock.
#ifndef KQ_POSIX_PIPE_DEVICE_H
#define KQ_POSIX_PIPE_DEVICE_H

#include <stdint.h>

namespace kq::pipe_device {

// Whether it is this device. The first call opens a pipe for a moment; false if that fails.
bool is(uint64_t device);

}  // namespace kq::pipe_device

#endif
