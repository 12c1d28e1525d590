#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: run.sh <directory of kq_fuzz_*> [work dir]: runs each program for KQ_FUZZ_SECONDS (30). It
# starts with the corpus, and with the seed KQ_FUZZ_SEED or a random one. Inputs that fail, and new
# ones that reach more code, are left in the work dir.
set -eu
programs=$(cd "$1" && pwd)
corpus=$(cd "$(dirname "$0")" && pwd)/corpus
work=${2:-$(mktemp -d)}
seconds=${KQ_FUZZ_SECONDS:-30}
for target in model raw; do
    mkdir -p "$work/$target"
    echo "== $target"
    # A call that hangs is ended from outside. There is no limit of memory, because the fuzzer would
    # use a thread for that. With several threads a kqueue may be readable for a while although it
    # has no event (L-CLOSE).
    if ! timeout -s ABRT "$((seconds + 120))" "$programs/kq_fuzz_$target" \
        -max_total_time="$seconds" -seed="${KQ_FUZZ_SEED:-0}" -max_len=4096 -rss_limit_mb=0 -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="$work/$target-" "$work/$target" "$corpus/$target" \
        </dev/null >"$work/$target.log" 2>&1; then
        tail -n 60 "$work/$target.log"
        echo "failed; see $work"
        exit 1
    fi
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' "$work/$target.log"
done
