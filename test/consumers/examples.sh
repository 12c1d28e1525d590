#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The examples of the manual and of the README, taken from there without a change. They must
# compile, run, and do what the text says.
set -euo pipefail
rm -rf "$WORK"
mkdir -p "$WORK"
here=$(cd "$(dirname "$0")" && pwd)
cd "$WORK"
export PKG_CONFIG_PATH=$LIBDIR/pkgconfig LD_LIBRARY_PATH=$LIBDIR
strict="-Wall -Wextra -Werror -Wno-unused-parameter"
# compile FILE PROGRAM: pkg-config writes a backslash before each space of a path, so this needs
# eval
compile() { eval "\"\$CC\" $strict \"$1\" $(pkg-config --cflags --libs libkqueue) -o \"$2\""; }
# within SECONDS COMMAND...: repeats the command until it succeeds
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || { echo "not in time: $*" >&2; return 1; }
        sleep 0.02
    done
}
# blocks FILE LANGUAGE PREFIX: writes the blocks of a language in a Markdown file to PREFIX1,
# PREFIX2 ...
blocks() {
    awk -v language="$2" -v prefix="$3" '
        $0 == "```" language { inside = 1; n++; next }
        /^```/ { inside = 0 }
        inside { print > (prefix n) }' "$1"
}

# ---- the manual ----
awk '
    /^\.Sh/ { examples = ($2 == "EXAMPLES") }
    /^\.Bd/ { if (examples) { inside = 1; n++ }; next }
    /^\.Ed/ { inside = 0 }
    inside { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); print > ("manual" n ".c") }' "$SOURCE/src/kqueue.2"
test "$(echo manual*.c)" = "manual1.c manual2.c"
compile manual1.c copies
compile manual2.c tells
test "$( (echo first; sleep 0.1; echo second) | ./copies)" = $'first\nsecond'
echo one >file
./tells file >said &
teller=$!
# Only the first message shows that the program watches. Until then the file is touched repeatedly.
heard() { grep -q "$1" said; }
touched() { touch file && heard 'attributes changed'; }
within 20 touched
echo two >>file && within 20 heard grew
mv file other
test "${BACKEND:-linux}" = posix || within 20 heard renamed # P-VNODE-NOTES
rm other && wait $teller
test "$(tail -n 1 said)" = removed
echo "the manual's examples: compiled and run"

# ---- the README: C ----
blocks "$SOURCE/README.md" c readme
test "$(cat readme1 | grep -c kevent)" -gt 0
{
    echo '#include <stdint.h>'
    echo '#include <stdio.h>'
    grep '^#include' readme1
    echo 'static void serve(void* connection, intptr_t n) { printf("%s %d\n", (const char*)connection, (int)n); fflush(stdout); }'
    echo 'int main(void) { int fd = 0; char connection[] = "bytes:";'
    grep -v '^#include' readme1
    echo 'return 0; }'
} >readme1.c
compile readme1.c serves
(printf hello; sleep 10) | timeout 5 ./serves >served || test $? = 124
test "$(head -n 1 served)" = 'bytes: 5'

# ---- the README: the commands that compile, and the lines for CMake and Autotools ----
cp "$here/main.c" main.c
awk '/^## Using it/ { inside = 1; next } /^## / { inside = 0 } inside' "$SOURCE/README.md" >using
blocks using sh commands
# The README's $(pkg-config ...) does not work with a space in the path.
ln -s "$PREFIX" prefix
libdir=prefix/${LIBDIR#"$PREFIX"/}
commands=0
while IFS= read -r line; do
    line=${line//<prefix>\/lib\//$libdir/}
    line=${line//<prefix>/prefix}
    PKG_CONFIG_PATH=$libdir/pkgconfig eval "${line/#cc /\"\$CC\" }"
    ./a.out
    commands=$((commands + 1))
done < <(cat commands* | grep '^cc ')
test $commands -ge 3
# The README's command for a prefix with a space.
ln -s "$PREFIX" "a prefix"
rm a.out
cc() { "$CC" "$@"; }
PKG_CONFIG_PATH="a $libdir/pkgconfig" eval "$(grep -h '^eval ' commands*)"
./a.out
unset -f cc
blocks using cmake cmake
mkdir project
cp main.c project/app.c
{
    printf 'cmake_minimum_required(VERSION 3.22)\nproject(app C)\nadd_executable(app app.c)\n'
    cat cmake1
} >project/CMakeLists.txt
"$CMAKE" -S project -B project/build -DCMAKE_PREFIX_PATH="$PREFIX" -DCMAKE_C_COMPILER="$CC" >cmake.log ||
    { cat cmake.log; exit 1; }
"$CMAKE" --build project/build >cmake.log || { cat cmake.log; exit 1; }
project/build/app
blocks using m4 m4
grep -qxF "$(grep AC_SEARCH_LIBS m41)" "$here/autotools/configure.ac"
echo "the README's: $commands commands, C, CMake, Autotools"
