# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the checks beside it. NM and READELF come from the environment.
: "${NM:=nm}" "${READELF:=readelf}"

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# expect <what> <found, white space of any kind between> <expected, single spaces between>
expect() {
    found=$(echo $2)
    [ "$found" = "$3" ] || fail "$1: found [$found], expected [$3]"
    echo "ok: $1: [$found]"
}

# dynamic <tag>...: the names those entries of the dynamic section of $lib give
dynamic() {
    for tag; do
        "$READELF" -dW "$lib" | sed -n "s/.*($tag) *.*\[\(.*\)\].*/\1/p"
    done
}
