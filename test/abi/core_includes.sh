# SPDX-License-Identifier: BSD-2-Clause
# core_includes.sh SOURCE_DIR: the core is portable. Its files include the standard headers of
# C and C++, <sys/event.h> and files of their own, and nothing of an operating system.
set -eu
cd "$1/src"
standard='algorithm|array|atomic|bit|compare|concepts|cstddef|cstdint|initializer_list|iterator|limits|new|optional|span|tuple|type_traits|utility'
standard="$standard|assert.h|ctype.h|errno.h|inttypes.h|limits.h|stdarg.h|stdbool.h|stddef.h|stdint.h|stdio.h|stdlib.h|string.h|time.h"
foreign=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<' ./*.cc ./*.h |
    grep -vE "<($standard|sys/event\.h)>" || true)
if [ -n "$foreign" ]; then
    echo "headers of an operating system in the core:"
    echo "$foreign"
    exit 1
fi
# Includes by quotes have no directory in their names, so they are found here or are one of the
# files that platform.h asks a platform directory for.
theirs='backend\.h|threading\.h'
for name in $(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' ./*.cc ./*.h | sort -u); do
    [ -f "$name" ] && continue
    if ! printf '%s\n' "$name" | grep -qxE "$theirs"; then
        echo "\"$name\" is neither a file of the core nor one that platform.h names"
        exit 1
    fi
done
macros=$(grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef|elif).*(__linux__|_WIN32|__sun|__APPLE__|BSD__)' ./*.cc ./*.h || true)
if [ -n "$macros" ]; then
    echo "the core asks which operating system it is:"
    echo "$macros"
    exit 1
fi
