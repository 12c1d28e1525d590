// The one way out when an invariant does not hold, and stderr. See check.h.
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

namespace kq {

void say(const char* line) {
    int state = 0;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)fprintf(stderr, "%s\n", line);
    (void)pthread_setcancelstate(state, nullptr);
}

void broken_invariant(const char* what, const char* file, int line) {
    // stderr may be anything by now; failing to print must not stop the abort.
    (void)fprintf(stderr, "libkqueue: broken invariant: %s (%s:%d)\n", what, file, line);
    abort();
}

}  // namespace kq
