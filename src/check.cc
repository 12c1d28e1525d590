// The one way out when an invariant does not hold. See check.h.
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

namespace kq {

void broken_invariant(const char* what, const char* file, int line) {
    // stderr may be anything by now; failing to print must not stop the abort.
    (void)fprintf(stderr, "libkqueue: broken invariant: %s (%s:%d)\n", what, file, line);
    abort();
}

}  // namespace kq
