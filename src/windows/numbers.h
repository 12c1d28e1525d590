// SPDX-License-Identifier: BSD-2-Clause
// What a number names: SOCKETs and descriptors of the C library have numbers that overlap. As in
// the C libkqueue a socket comes first. Only multiples of four can be sockets.
#ifndef KQ_WINDOWS_NUMBERS_H
#define KQ_WINDOWS_NUMBERS_H

namespace kq::numbers {

bool is_socket(int number);

// The handle below a descriptor of the C library; null: it is not open. No number makes the C
// library end the process.
void* handle_of(int number);

}  // namespace kq::numbers

#endif
