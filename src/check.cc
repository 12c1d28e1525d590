// SPDX-License-Identifier: BSD-2-Clause
// The one way out when an invariant does not hold. See check.h.
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

namespace kq {

void broken_invariant(const char* what, const char* file, int line) {
    // stderr may be anything now; a failure to print must not stop the abort.
    char text[300];
    (void)snprintf(text, sizeof text, "libkqueue: broken invariant: %s (%s:%d)", what, file, line);
    say(text);
    abort();
}

}  // namespace kq
