#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# usage: cross.sh i686|aarch64|armhf|s390x [<build directory>]
# Builds the library and the conformance suite for another processor, and runs the suite: i686 on
# this machine itself, the others under qemu-user. s390x is big-endian. i686 and armhf have 32 bits.
#
# Debian 12: apt-get install --no-install-recommends cmake ninja-build googletest qemu-user-static
#            g++-{i686-linux-gnu,aarch64-linux-gnu,arm-linux-gnueabihf,s390x-linux-gnu}
# (g++-multilib would remove the cross compilers.) On two processors, which others used, too,
# building took 4 to 12 minutes. The suite took 3 to 6 minutes under qemu, and less than one on
# i686.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
target=${1:?usage: cross.sh i686|aarch64|armhf|s390x [<build directory>]}
build=${2:-$source/build/elsewhere/$target}
case $target in
i686) triplet=i686-linux-gnu qemu= ;;
aarch64) triplet=aarch64-linux-gnu qemu=qemu-aarch64-static ;;
armhf) triplet=arm-linux-gnueabihf qemu=qemu-arm-static ;;
s390x) triplet=s390x-linux-gnu qemu=qemu-s390x-static ;;
*) echo "unknown target $target" >&2; exit 2 ;;
esac
sysroot=/usr/$triplet
run=()
link=
if [ -n "$qemu" ]; then
    run=("$qemu" -L "$sysroot")
else # use the cross libc's loader: the machine may have another one, or none
    link="-Wl,--dynamic-linker=$(find "$sysroot/lib" -name 'ld-linux*.so.2') -Wl,-rpath,$sysroot/lib"
fi

configure() { # <source> <build> <option>...
    local from=$1 to=$2
    shift 2
    cmake -G Ninja -S "$from" -B "$to" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O1 \
        -DCMAKE_EXE_LINKER_FLAGS="$link" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="${triplet%%-*}" \
        -DCMAKE_C_COMPILER="$triplet-gcc" -DCMAKE_CXX_COMPILER="$triplet-g++" \
        -DCMAKE_OBJCOPY="/usr/bin/$triplet-objcopy" "$@" > "$to.configure" || { cat "$to.configure"; exit 1; }
}
mkdir -p "$build"
configure /usr/src/googletest "$build/googletest" -DBUILD_GMOCK=OFF -DCMAKE_INSTALL_PREFIX="$build/prefix"
cmake --build "$build/googletest" --parallel "${JOBS:-2}" > "$build/googletest.build"
cmake --install "$build/googletest" > /dev/null
# Messages of the kernel are in aligned buffers. The compiler cannot know that.
configure "$source" "$build/libkqueue" -DCMAKE_CXX_FLAGS=-Wno-error=cast-align -DKQUEUE_BUILD_TESTS=ON -DKQUEUE_WARNINGS=ON -DKQUEUE_WERROR=ON \
    -DGTest_DIR="$(dirname "$(find "$build/prefix" -name GTestConfig.cmake)")"
cmake --build "$build/libkqueue" --parallel "${JOBS:-2}" --target kqueue kqueue_static kq_conformance kq_unit

"${run[@]}" "$build/libkqueue/test/kq_unit" --gtest_brief=1
gaps=/dev/null # i686: none
if [ -n "$qemu" ]; then
    gaps=$here/gaps/qemu
    # The reasons in the list must be true, and there must be no others.
    mapfile -t reasons < <(grep -o '^# \[[^]]*' "$gaps" | tr -d '#[,' | tr -s ' ' '\n' | grep . | sort -u)
    "$triplet-gcc" -pthread -Wall -Wextra -Werror "$here/answers.c" -o "$build/answers"
    "${run[@]}" "$build/answers" "${reasons[@]}" 2>&1
fi
bash "$here/run_suite.sh" "$gaps" "$build/logs" \
    "${run[@]}" "$build/libkqueue/test/kq_conformance"
