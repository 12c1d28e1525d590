// SPDX-License-Identifier: BSD-2-Clause
// Threads on Solaris: those of any POSIX system.
#include "../posix/threading.h"
