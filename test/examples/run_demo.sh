#!/usr/bin/env bash
#
# run_demo.sh PREFIX [BUILD_DIR] - shows the installed library at work.
#
# Builds the examples with the libkqueue that is installed under PREFIX, by
# pkg-config as any program does, and runs them on real files:
#
#   1. echod and echoload: 1,000 TCP clients at the same time. Each sends a
#      whole file, and every returning byte is compared;
#   2. the idle timeout: a silent connection is closed, a talking one is not;
#   3. kqtail: two files that are written at the same time, one that is
#      truncated, a pipe, a reader that leaves;
#   4. kqwatch: what happens to a file and its directory, in words;
#   5. kqrun: the processes of a shell pipeline, and how each of them ended.
#
# Everything happens on 127.0.0.1 and in a temporary directory. Any mismatch
# ends the demo with a line "FAIL" and status 1.
#
# Environment: CC (cc), CLIENTS (1000), IDLE_MS (2000), KQ_LIBRARY_DIR (none).
# The last one is a directory with another libkqueue. Then the programs run
# with that library, and only 1 to 3 are done.
#
# SPDX-License-Identifier: BSD-2-Clause

set -euo pipefail
export LC_ALL=C PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}"

if (($# < 1 || $# > 2)); then
    echo "usage: run_demo.sh PREFIX [BUILD_DIR]" >&2
    exit 2
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
clients=${CLIENTS:-1000}
idle_ms=${IDLE_MS:-2000}
work=$(mktemp -d "${TMPDIR:-/tmp}/kqueue-demo.XXXXXX")

cleanup() {
    local status=$? pid
    for pid in $(jobs -pr); do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title() { printf '\n== %s\n' "$*"; }
ok() { printf 'ok    %s\n' "$*"; }
fail() {
    printf 'FAIL  %s\n' "$*" >&2
    exit 1
}

# wait_for SECONDS COMMAND... - repeats the command until it succeeds; fails if
# that takes too long
wait_for() {
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# number TEXT FILE - prints the number before the last TEXT in the file
number() { sed -n "s/^.*[^0-9]\([0-9][0-9]*\) $1.*\$/\1/p" "$2" | tail -n 1; }

# ---- build ----

[[ -d $1 ]] || fail "no directory $1: install the library first (cmake --install)"
prefix=$(cd "$1" && pwd)
build=${2:-$work/build}
mkdir -p "$build"
build=$(cd "$build" && pwd)
command -v pkg-config >/dev/null || fail "pkg-config is not installed"
for dir in "$prefix"/lib/pkgconfig "$prefix"/lib64/pkgconfig "$prefix"/lib/*/pkgconfig; do
    [[ -e $dir/libkqueue.pc ]] && pc_dir=$dir
done
[[ -n ${pc_dir:-} ]] || fail "no libkqueue.pc under $prefix/lib"
export PKG_CONFIG_PATH=$pc_dir
libdir=$(pkg-config --variable=libdir libkqueue)
libdir=${libdir//\\ / }
# pkg-config writes a backslash before each space of a path. Without -r, `read`
# removes it.
# shellcheck disable=SC2162
read -a cflags < <(pkg-config --cflags libkqueue)
# shellcheck disable=SC2162
read -a libs < <(pkg-config --libs libkqueue)

title "Build with: cc$(printf ' %q' "${cflags[@]}" "${libs[@]}")" # quoted, so that it can be typed
for program in echod echoload kqtail kqwatch kqrun; do
    "${CC:-cc}" -O2 -Wall -Wextra -pthread "${cflags[@]}" "$here/$program.c" -o "$build/$program" \
        "${libs[@]}" "-Wl,--enable-new-dtags,-rpath,$libdir" || fail "$program does not build"
done
if [[ -n ${KQ_LIBRARY_DIR:-} ]]; then # it comes before the -rpath that the programs were linked with
    libdir=$(cd "$KQ_LIBRARY_DIR" && pwd)
    export LD_LIBRARY_PATH=$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
library=$(ldd "$build/echod" | sed -n 's/^.*libkqueue[^ ]* => \(.*\) (0x.*$/\1/p')
[[ -n $library ]] || fail "echod does not use a shared libkqueue"
case $(readlink -f "$library") in
    "$(readlink -f "$prefix")"/*) ok "echod, echoload, kqtail, kqwatch and kqrun use $library" ;;
    "$(readlink -f "${KQ_LIBRARY_DIR:-$prefix}")"/*) ok "the same programs use $library" ;;
    *) fail "echod uses $library, which is not under $prefix" ;;
esac

# ---- real files of all sizes ----

title "Echo: $clients simultaneous TCP clients"
mkdir "$work/files"
libc=$(ldd "$build/echod" | sed -n 's/^.*libc\.[^ ]* => \(.*\) (0x.*$/\1/p')
cat "$libc" "$library" "$here"/*.c >"$work/files/large"
while (($(wc -c <"$work/files/large") <= 1048576)); do
    cp "$work/files/large" "$work/files/half"
    cat "$work/files/half" "$work/files/half" >"$work/files/large"
done
: >"$work/files/empty"
for size in 1 4096 65535 65536 65537; do
    head -c "$size" "$work/files/large" >"$work/files/first-$size"
done
mapfile -t sources < <(find "$top/include" "$top/src" "$top/test" -type f -size -200k | sort)
files=("$work"/files/* "$library" "${sources[@]:0:100}")
sizes=$(wc -c "${files[@]}" | sed '$d' | sort -n)
ok "${#files[@]} files, from $(awk 'NR == 1 { print $1 }' <<<"$sizes") to" \
    "$(tail -n 1 <<<"$sizes" | awk '{ print $1 }') bytes"

# ---- the server: its console is a FIFO ----

mkfifo "$work/console"
: >"$work/echod" # grep may read the file before the shell of the next line has made it
timeout 50 "$build/echod" -p 0 -i "$idle_ms" <"$work/console" >>"$work/echod" 2>&1 &
echod=$!
exec {console}>"$work/console"
listening() { grep -q 'listening' "$work/echod"; }
wait_for 5 listening || fail "echod does not start: $(cat "$work/echod")"
port=$(sed -n 's/^.* port \([0-9]*\)$/\1/p' "$work/echod")
ok "echod listens on 127.0.0.1 port $port"

"$build/echoload" -p "$port" -c "$clients" -t 30 "${files[@]}" >"$work/echoload" 2>&1 ||
    fail "echoload: $(tail -n 20 "$work/echoload")"
cat "$work/echoload"
echo stat >&"$console"
summed_up() { grep -q 'processor time' "$work/echod"; }
wait_for 5 summed_up || fail "echod does not answer stat: $(cat "$work/echod")"
tail -n +2 "$work/echod"
grep -q "clients (at most $clients at once)" "$work/echod" || fail "not all clients at once"
ok "$clients clients at once, every byte came back in its place"

# ---- idle timeout ----

title "Idle timeout: $idle_ms ms"
exec {silent}<>"/dev/tcp/127.0.0.1/$port"
exec {talking}<>"/dev/tcp/127.0.0.1/$port"
begin=${EPOCHREALTIME/./}
{
    status=0
    read -r -t 15 -u "$silent" || status=$?
    ((status == 1)) && echo $(((${EPOCHREALTIME/./} - begin) / 1000)) # 1: end of file
} >"$work/silent" &
hangup=$!
talked=0
while kill -0 "$hangup" 2>/dev/null || ((${EPOCHREALTIME/./} - begin < idle_ms * 1500)); do
    printf 'x' >&"$talking"
    read -r -N 1 -t 5 -u "$talking" answer || fail "echod hung up on a client that talks"
    [[ $answer == x ]] || fail "echod answered '$answer' to x"
    talked=$((talked + 1))
    sleep 0.2
done
wait "$hangup" || fail "echod did not hang up on a silent client"
silence=$(<"$work/silent")
((silence >= idle_ms - 5)) || fail "echod hung up after $silence ms already"
exec {silent}>&- {talking}>&-
ok "a silent client was closed after $silence ms; one that talked was not, in" \
    "$(((${EPOCHREALTIME/./} - begin) / 1000)) ms"

# ---- shutdown ----

title "Shutdown: quit on the console triggers EVFILT_USER"
echo quit >&"$console"
wait "$echod" || fail "echod: $(cat "$work/echod")"
exec {console}>&-
tail -n 5 "$work/echod"
echoed=$(number 'bytes echoed' "$work/echod")
received=$(number 'bytes received' "$work/echoload")
((echoed == received + talked)) ||
    fail "echod echoed $echoed bytes, its clients got $received and $talked"
[[ $(number 'idle timeouts' "$work/echod") == 1 ]] || fail "echod counts other idle timeouts than 1"
ok "both sides count the same bytes: $received of files, $talked of talk"

# ---- kqtail ----

title "kqtail: two files growing at once"
cd "$work"
mkdir log
head -n 15 "$top/LICENSE" >log/a
: >log/b
timeout 30 "$build/kqtail" -s -n 3 log/a log/b >followed 2>notices &
tail_pid=$!
wait_for 5 test -s followed || fail "kqtail shows nothing: $(cat notices)"
tail -n 3 log/a >expected_a

# append NAME FILE - adds FILE line by line, as a program that writes a log
append() {
    local line count=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"log/$1"
        ((++count % 40)) || sleep 0.02
    done <"$2"
    cat "$2" >>"expected_$1"
}

# split - removes the headers of kqtail, and writes split_a and split_b. A
# newline before a header belongs to the header.
split() {
    rm -f split_a split_b
    awk '
        function newline() { if (held) print "" > out; held = 0 }
        BEGIN { header["==> log/a <=="] = "split_a"; header["==> log/b <=="] = "split_b" }
        $0 in header { held = 0; out = header[$0]; next }
        { newline(); printf "%s", $0 > out; held = 1 }
        END { newline() }' followed
}
complete() { split && cmp -s split_a expected_a && cmp -s split_b expected_b; }

append a "$here/echod.c" &
writer_a=$!
append b "$here/echoload.c" &
writer_b=$!
wait "$writer_a" "$writer_b"
wait_for 10 complete || fail "kqtail did not show what was written: diff $(diff split_a expected_a |
    sed -n 1,5p) $(diff split_b expected_b | sed -n 1,5p)"
: >log/a
append a "$top/LICENSE"
wait_for 10 complete || fail "kqtail did not follow a truncated file: $(tail -n 5 followed notices)"
kill -TERM "$tail_pid"
wait "$tail_pid" || fail "kqtail: $(cat notices)"
cat notices
grep -q '^kqtail: log/a: file truncated$' notices || fail "kqtail did not tell of the truncation"
ok "$(wc -l <expected_a) lines of one file and $(wc -l <expected_b) of the other, all shown," \
    "headers $(grep -c '^==> log/' followed) times"

tail -n +1 "$here/run_demo.sh" | timeout 20 "$build/kqtail" >piped || fail "kqtail does not follow a pipe"
cmp piped "$here/run_demo.sh" || fail "kqtail changed the bytes of a pipe"
ok "a pipe, shown whole; kqtail ended with it"

status=0
timeout 20 "$build/kqtail" -n 2 log/b | head -n 1 >/dev/null || status=$? # pipes.sh: allowed
((status == 0 || status == 141)) || fail "kqtail stays when its reader leaves: status $status"
ok "kqtail ended when its reader left"

# Other backends report less about files and processes: BUGS.md.
if [[ -n ${KQ_LIBRARY_DIR:-} ]]; then
    title "All is well ($SECONDS s); kqwatch and kqrun are left out, which say what this system's own library tells"
    exit 0
fi

# ---- kqwatch ----

title "kqwatch: a file and its directory"
mkdir watched
printf 'hello' >watched/notes.txt
: >seen
timeout 30 "$build/kqwatch" -n 10 -t 20 watched/notes.txt watched >>seen &
watch_pid=$!
lines=1
sort >expected_seen <<'WORDS'
watching 2
watched/notes.txt: written, grew by 12 bytes
watched/notes.txt: attributes changed
watched/notes.txt: written, truncated to 3 bytes
watched: entries changed
watched/notes.txt: has 2 links
watched: entries changed, a subdirectory came or went
watched: entries changed
watched/notes.txt: renamed
watched: entries changed, a subdirectory came or went
watched/notes.txt: attributes changed
WORDS
complete() { (($(wc -l <seen) >= lines)); }
# happens LINES COMMAND... - runs the command, and waits until kqwatch has
# written LINES more lines
happens() {
    lines=$((lines + $1))
    shift
    "$@"
    wait_for 5 complete || fail "kqwatch does not tell of $*: $(tail -n 2 seen)"
}
append_words() { printf ', what else?' >>watched/notes.txt; }
wait_for 5 complete || fail "kqwatch does not start"
happens 1 append_words
happens 1 chmod 600 watched/notes.txt
happens 1 truncate -s 3 watched/notes.txt
happens 2 ln watched/notes.txt watched/more.txt
happens 1 mkdir watched/sub
happens 2 mv watched/notes.txt watched/other.txt
happens 1 rmdir watched/sub
happens 1 touch watched/other.txt
wait "$watch_pid" || fail "kqwatch ended with status $?"
sort seen | diff - expected_seen || fail "kqwatch does not tell what happened"
ok "$((lines - 1)) events, all as expected: $(sed -n 2p seen)"

# ---- kqrun ----

title "kqrun: a pipeline, a background job that fails, a status"
status=0
timeout 20 "$build/kqrun" sh -c 'echo piped | cat; false & wait; exit 5' >shown 2>told || status=$?
cat told
((status == 5)) || fail "kqrun ended with status $status, not that of its command"
[[ $(<shown) == piped ]] || fail "kqrun changed what its command wrote"
grep -q '^kqrun: [0-9]* exited with status 5$' told || fail "kqrun did not tell how its command exited"
if grep -q 'only the command itself' told; then
    ok "the command exited with status 5; its children cannot be seen on this system"
else
    grep -q '^kqrun: 4 processes, 3 forks, 2 programs, 2 failures, ' told ||
        fail "kqrun did not see the four processes there were"
    ok "four processes, two of which failed; kqrun exited as its command did"
fi

title "All is well ($SECONDS s)"
