# SPDX-License-Identifier: BSD-2-Clause
# needs PROGRAM PACKAGE: without the program the test is skipped, with a message. The other scripts
# source this file.
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
# work_without_space: for tools that take no path with a space. WORK is then elsewhere, and is
# removed at the end.
work_without_space() {
    case $WORK in
    *" "*)
        WORK=$(mktemp -d /tmp/kq-work.XXXXXX)
        trap 'rm -rf "$WORK"' EXIT
        ;;
    esac
}
