#!/bin/bash
# usage: run_suite.sh <gaps file> <log directory> <command of the conformance suite>...
# Runs the suite in eight parts at a time (it mostly waits). What fails must be among the known
# gaps of this place: a file of gtest patterns, one a line, "#" begins a comment. Such tests are
# run apart, to learn of those that pass by now. The log directory has all output.
set -euo pipefail
gaps=$1 logs=$2
shift 2
rm -rf "$logs"
mkdir -p "$logs"
known=
[ ! -f "$gaps" ] || known=$(sed 's/#.*//' "$gaps" | tr -s ' \n' ':' | sed 's/^://; s/:$//')
parts=8

for part in $(seq 0 $((parts - 1))); do
    GTEST_TOTAL_SHARDS=$parts GTEST_SHARD_INDEX=$part timeout -k 10 1500 \
        "$@" --gtest_brief=1 --gtest_filter="-$known" > "$logs/part.$part" 2>&1 &
    pids[$part]=$!
done
failed=0
for part in $(seq 0 $((parts - 1))); do
    status=0
    wait "${pids[$part]}" || status=$?
    if [ "$status" != 0 ]; then
        echo "part $part: status $status; see $logs/part.$part"
        grep -h '^\[  FAILED  \] [A-Za-z]' "$logs/part.$part" | grep -v 'tests\?, listed' || true
        tail -n 3 "$logs/part.$part"
        failed=1
    fi
done
cat "$logs"/part.* | awk '
    /^\[  PASSED  \]/ { passed += $4 }
    /^\[  SKIPPED \] [0-9]/ { skipped += $4 }
    END { printf "passed: %d, skipped: %d\n", passed, skipped }'

if [ -n "$known" ]; then
    timeout -k 10 600 "$@" --gtest_brief=0 --gtest_filter="$known" > "$logs/gaps" 2>&1 || true
    echo "known gaps: $(grep -c '^\[ RUN' "$logs/gaps" || true) tests; of these pass here: $(grep -c '^\[       OK' "$logs/gaps" || true)"
fi
exit $failed
