#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# answers.sh: checks that each group of support/gaps_wine.inc has a question in answers.c. A group
# is the text between two empty lines, and begins with a comment. Some groups have no question,
# because a short program cannot ask how long something takes, or how a fault ends a program.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing=$(awk 'FNR < 4 { next } /^$/ { begun = 0 } /^\/\/ / && !begun { begun = 1; print substr($0, 4) }' \
    "$here/../support/gaps_wine.inc" | sed 's/[.:].*//' | while read -r group; do
    case $group in "Too slow" | "A fault starts Wine's debugger"*) continue ;; esac
    grep -qF "\"$group\"" "$here/answers.c" || echo "answers.sh: answers.c has no question for: $group"
done)
echo "${missing:-each group has its question}"
[ -z "$missing" ]
