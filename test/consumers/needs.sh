# SPDX-License-Identifier: BSD-2-Clause
# needs PROGRAM PACKAGE: without it the test is skipped, and says so. To be read by the others.
needs() {
    command -v "$1" >/dev/null && return
    echo "SKIPPED: there is no $1 (Debian: apt-get install $2)"
    exit 77
}
# skipped_because REASON...
skipped_because() {
    echo "SKIPPED: $*"
    exit 77
}
# work_without_space: where tools take no path with a space, WORK is elsewhere, and goes at the end.
work_without_space() {
    case $WORK in
    *" "*)
        WORK=$(mktemp -d /tmp/kq-work.XXXXXX)
        trap 'rm -rf "$WORK"' EXIT
        ;;
    esac
}
