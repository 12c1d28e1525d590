#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# pipes.sh SOURCE_DIR [FILE...]: looks for pipes whose reader may end before its writer, in all scripts with
# `pipefail`, or in the FILEs. Such a writer ends by SIGPIPE if it is slow, and then the pipe fails although
# the reader found what it looked for. A file, or <<< with the writer's output, has no such race.
# A line that ends with "# pipes.sh: allowed" is not looked at.
set -eu
cd "$1"
shift
[ $# -gt 0 ] || set -- $(grep -rl 'pipefail' .ci test cmake --include='*.sh' --include=run | grep -v '/pipes\.sh$')
# A grep that writes to /dev/null ends at the first match, too.
early='head|grep +(-[A-Za-z]+ +)*-[A-Za-z]*[qlLm]|grep [^|]*> */dev/null|(sed|awk) [^|]*(;|[0-9]|\{) *(q|exit)'
found=$(grep -nE "(^|[^|])\|[[:space:]]*($early)" /dev/null "$@" | grep -v '# pipes\.sh: allowed$' || true)
if [ -n "$found" ]; then
    echo "the reader of a pipe may end before its writer, in a script with pipefail:"
    echo "$found"
    exit 1
fi
