#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: coverage_report.sh <gcov> <source dir> <object>...
# Prints how much of each source file the tests ran: one line per file.
set -eu
gcov=$1 source=$2
shift 2
"$gcov" -n -b -r -s "$source" "$@" | awk -F '[: ]' '
    /^File /                { file = substr($2, 2, length($2) - 2); branches[file] = "no branches" }
    /^Lines executed:/      { if (file != "") lines[file] = $3 " of " $5 " lines" }
    /^Taken at least once:/ { branches[file] = $5 " of " $7 " branches" }
    /^(Calls|No calls)/     { file = "" } # what follows is the total
    END {
        for (file in lines)
            if (file ~ /^src\//)
                printf "%-32s %-24s %s\n", file, lines[file], branches[file]
    }' | sort
