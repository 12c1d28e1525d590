#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: illumos.sh [<work directory>]: builds the library on illumos or Solaris, tries it, and says
# what to send in. Nobody has sent in a result yet: see "Solaris and illumos" in BUGS.md.
#
# It needs CMake 3.22, Ninja or make, and g++ or clang++ with C++20. The tests need GoogleTest 1.12
# or network access. Without them only the library is built, and only the small program below is
# run. SUITES: a filter of GoogleTest that chooses the tests of the conformance suite.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$source/build/illumos}
: "${SUITES:=*}"
if [ "$(uname -s)" != SunOS ]; then
    echo "this is $(uname -s), not SunOS: cmake --preset solaris-model has a model of event ports" >&2
    exit 77
fi
mkdir -p "$work" || exit 1
report=$work/report.txt
{
    uname -a
    head -n 1 /etc/release
    g++ --version 2>/dev/null | head -n 1
    cmake --version | head -n 1
} | tee "$report"

step() { # <what> <command>...
    what=$1
    shift
    echo "== $what" | tee -a "$report"
    if "$@" >"$work/$what.log" 2>&1; then
        echo "ok" | tee -a "$report"
        return 0
    fi
    echo "FAILED; the end of $work/$what.log:" | tee -a "$report"
    tail -n 40 "$work/$what.log" | tee -a "$report"
    return 1
}

tests=ON
step configure cmake -S "$source" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug -DKQUEUE_BUILD_TESTS=$tests || {
    tests=OFF
    step configure-library cmake -S "$source" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug -DKQUEUE_BUILD_TESTS=$tests || exit 1
}
step library cmake --build "$work/build" --target kqueue || exit 1

cat >"$work/first.c" <<'END'
/* A pipe, a timer, a trigger and a file, each once. */
#include <sys/types.h>
#include <sys/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <unistd.h>

static int failed;

static void expect(int kq, const char* what, short filter) {
    struct kevent event;
    struct timespec limit = {5, 0};
    const int n = kevent(kq, NULL, 0, &event, 1, &limit);
    const int right = n == 1 && event.filter == filter;
    printf("%s: %s (%d)\n", what, right ? "ok" : "WRONG", n);
    failed |= !right;
}

static void change(int kq, uintptr_t ident, short filter, unsigned short flags, unsigned fflags, intptr_t data) {
    struct kevent event;
    EV_SET(&event, ident, filter, flags, fflags, data, NULL);
    if (kevent(kq, &event, 1, NULL, 0, NULL) != 0) perror("kevent"), failed = 1;
}

int main(void) {
    char name[] = "/tmp/kqueue-first-XXXXXX";
    const int kq = kqueue();
    const int file = mkstemp(name);
    int ends[2];
    if (kq < 0 || file < 0 || pipe(ends) != 0) return perror("kqueue"), 1;
    change(kq, (uintptr_t)ends[0], EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0);
    if (write(ends[1], "x", 1) != 1) return 1;
    expect(kq, "read", EVFILT_READ);
    change(kq, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 20);
    expect(kq, "timer", EVFILT_TIMER);
    change(kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0);
    change(kq, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0);
    expect(kq, "user", EVFILT_USER);
    change(kq, (uintptr_t)file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE, 0);
    if (write(file, "x", 1) != 1) return 1;
    expect(kq, "vnode", EVFILT_VNODE);
    unlink(name);
    return failed;
}
END
step first-compile cc -I"$source/include" "$work/first.c" -L"$work/build" -R"$work/build" -lkqueue -o "$work/first" &&
    step first "$work/first"
if [ $tests = ON ]; then
    step tests cmake --build "$work/build" --target kq_conformance kq_model &&
        {
            step conformance "$work/build/test/kq_conformance" --gtest_brief=1 "--gtest_filter=$SUITES"
            step model "$work/build/test/kq_model" --gtest_brief=1
        }
fi
echo "Please send $report, and the logs beside it of what FAILED."
