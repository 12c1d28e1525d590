#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# usage: run_suite.sh <gaps file> <log directory> <command of the conformance suite>...
# Runs the suite and compares the failures with the known gaps of a place. The gaps file has gtest
# patterns, one in a line; "#" begins a comment. It fails if a test fails that is not listed. It
# also fails if a listed test passes, or if a pattern fits no test. So the list is always exact.
# "?pattern" lists tests that pass or fail there by chance. The other tests run in eight parts at
# the same time, because they mostly wait. Each listed test runs in a process of its own, because it
# may crash or hang. The log directory has all output.
set -euo pipefail
gaps=$1 logs=$2
shift 2
rm -rf "$logs"
mkdir -p "$logs/listed"
parts=8
failed=0

complain() {
    echo "$*"
    failed=1
}

# ---- finds all tests, and which of them are listed ----
"$@" --gtest_list_tests > "$logs/list"
awk '/^[^ ]/ { suite = $1 } /^  / { print suite $1 }' "$logs/list" > "$logs/all"
mapfile -t tests < "$logs/all"
declare -A listed=() # how often a test fails: always, maybe
while read -r pattern; do
    often=always found=
    case $pattern in \?*) often=maybe pattern=${pattern#\?} ;; esac
    for name in "${tests[@]}"; do
        # shellcheck disable=SC2053 # it is a pattern
        if [[ $name == $pattern ]]; then listed[$name]=$often found=1; fi
    done
    [ -n "$found" ] || complain "no such test: $pattern"
done < <(sed 's/#.*//' "$gaps" | tr -s ' ' '\n' | grep -v '^$')
known=$(IFS=: && echo "${!listed[*]}")

# ---- the tests that are not listed ----
for part in $(seq 0 $((parts - 1))); do
    GTEST_TOTAL_SHARDS=$parts GTEST_SHARD_INDEX=$part timeout -k 10 1500 \
        "$@" --gtest_filter="-$known" > "$logs/part.$part" 2>&1 &
    pids[part]=$!
done
for part in $(seq 0 $((parts - 1))); do
    status=0
    wait "${pids[part]}" || status=$?
    [ "$status" != 0 ] || continue
    complain "part $part: status $status; see $logs/part.$part"
    sed -n 's/^\(\[  FAILED  \] [^ ,]*\).*([0-9]* ms)$/\1/p' "$logs/part.$part"
    [ "$status" = 1 ] || tail -n 3 "$logs/part.$part"
done

# ---- the listed tests ----
alone() { # <name> <command>...: prints the name and passed, skipped or failed
    local name=$1 log=$logs/listed/${1//\//,} result=failed
    shift
    if timeout -k 10 120 "$@" --gtest_filter="$name" > "$log" 2>&1; then
        result=passed
        if grep -q '^\[  SKIPPED \]' "$log"; then result=skipped; fi
    fi
    echo "$name $result"
}
export -f alone
export logs
if [ -n "$known" ]; then
    # shellcheck disable=SC2016 # for the other shell
    printf '%s\n' "${!listed[@]}" | sort |
        xargs -P "$parts" -I '{}' bash -c 'alone "$@"' alone '{}' "$@" > "$logs/listed.results"
    while read -r name result; do
        case ${listed[$name]} in
        always) [ "$result" = failed ] || complain "listed, but $result: $name" ;;
        maybe) echo "by chance: $result: $name" ;;
        esac
    done < <(sort "$logs/listed.results")
fi

cat "$logs"/part.* | awk -v listed="${#listed[@]}" '
    /^\[       OK \] .* ms\)$/ { passed++ }
    /^\[  SKIPPED \] .* ms\)$/ { skipped++ }
    /^\[  FAILED  \] .* ms\)$/ { failed++ }
    END { printf "passed: %d, skipped: %d, failed: %d, known gaps: %d\n", passed, skipped, failed, listed }'
exit $failed
