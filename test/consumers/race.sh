# SPDX-License-Identifier: BSD-2-Clause
# In this program one thread passes data to another by an event. Race detectors must report nothing.
# They are ThreadSanitizer, with a library that was not built for it, and Helgrind and DRD of
# valgrind.
set -eu
mkdir -p "$WORK"
cflags="-g -I$PREFIX/include/kqueue"
build() { # <program> <flag>...
    program=$1
    shift
    "$CC" $cflags "$@" "$(dirname "$0")/race.c" -o "$program" -L"$LIBDIR" -lkqueue -lpthread
}
export LD_LIBRARY_PATH="$LIBDIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
build "$WORK/plain"
"$WORK/plain"
tried=0
if build "$WORK/tsan" -fsanitize=thread 2>"$WORK/log"; then
    TSAN_OPTIONS=exitcode=66 "$WORK/tsan"
    tried=1
fi
if command -v valgrind >/dev/null; then
    for tool in helgrind drd; do
        valgrind -q --tool=$tool --error-exitcode=66 "$WORK/plain"
    done
    tried=1
fi
[ $tried = 1 ] || exit 77
