#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# imports.sh <libkqueue.dll>: checks that the DLL needs only system DLLs, and exports only the API
set -eu
here=$(dirname "$0")
dump=$(x86_64-w64-mingw32-objdump -p "$1")
others=$(echo "$dump" | sed -n 's/^\tDLL Name: //p' | grep -viE '^(KERNEL32|ntdll|WS2_32|msvcrt|ucrtbase|api-ms-win-.*)\.dll$' || true)
if [ -n "$others" ]; then
    echo "imports.sh: $1 needs $others" >&2
    exit 1
fi
wanted=$(sed -n 's/^    \([a-z0-9_]*\)$/\1/p' "$here/../../src/windows/libkqueue.def" | sort)
exported=$(echo "$dump" | sed -n '/\[Ordinal\/Name Pointer\] Table/,$s/^\t\[ *[0-9]*\] \([a-z0-9_]*\)$/\1/p' | sort)
if [ "$wanted" != "$exported" ]; then
    echo "imports.sh: $1 exports" $exported >&2
    exit 1
fi
