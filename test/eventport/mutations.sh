#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# mutations.sh BUILD [NAME...]: does the conformance suite notice mistakes in src/solaris?
#
# Makes one mistake at a time in a copy of the sources, builds the library for the model, and runs
# the tests that must fail. It uses kq_conformance of the build directory BUILD, as `cmake --preset
# dev` makes it. Prints one line for each mistake: noticed, SURVIVED, or STALE (the line to change
# is no longer there). The status is 1 if a mistake was not noticed. Each mistake takes about ten
# seconds. CTest does not run this.
# Environment: JOBS (2).
set -euo pipefail
(($# >= 1)) || { echo "usage: mutations.sh BUILD [NAME...]" >&2; exit 2; }
build=$(cd "$1" && pwd)
shift
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
jobs=${JOBS:-2}
work=$(mktemp -d "${TMPDIR:-/tmp}/kqueue-mutations.XXXXXX")
trap 'rm -rf "$work"' EXIT
wanted=" $* "

mkdir "$work/source"
cp -R "$top"/{CMakeLists.txt,LICENSE,README.md,BUGS.md,cmake,include,src,test} "$work/source"
make_library() { cmake --build "$work/build" -j "$jobs" --target kqueue >"$work/log" 2>&1; }
cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DKQUEUE_BACKEND=solaris \
    -DKQUEUE_BUILD_TESTS=OFF -DCMAKE_CXX_COMPILER_LAUNCHER="${CMAKE_CXX_COMPILER_LAUNCHER:-}" \
    >"$work/log" 2>&1 && make_library || { cat "$work/log"; exit 1; }

# passes FILTER [KNOBS]: whether the tests pass with the library as it is now
passes() {
    KQ_PORT=${2:-} LD_LIBRARY_PATH=$work/build timeout 100 "$build/test/kq_conformance" \
        --gtest_brief=1 --gtest_fail_fast "--gtest_filter=$1" >"$work/tests" 2>&1
}

noticed=0
missed=0
# mutant NAME FILE SED-EXPRESSION FILTER [KNOBS]
mutant() {
    local name=$1 file=$work/source/src/solaris/$2 result
    [[ $wanted == "  " || $wanted == *" $name "* ]] || return 0
    cp "$file" "$work/kept"
    if ! passes "$4" "${5:-}"; then
        result="BROKEN: $4 fails without it"
    else
        sed -i -E "$3" "$file"
        if cmp -s "$file" "$work/kept"; then
            result=STALE
        elif ! make_library; then
            result="noticed by the compiler: make it another one"
        elif passes "$4" "${5:-}"; then
            result=SURVIVED
        else
            result="noticed by $(grep -oE '^\[  FAILED  \] [^ ,]+|^[A-Z][A-Za-z]*\.[A-Za-z0-9_]+: a thread' "$work/tests" |
                sed 's/.*\] //; s/: a thread//' | sed -n 1p)"
        fi
        cp "$work/kept" "$file"
        make_library
    fi
    printf '%-28s %s\n' "$name" "$result"
    case $result in "noticed by the"* | STALE | BROKEN* | SURVIVED) missed=$((missed + 1)) ;; *) noticed=$((noticed + 1)) ;; esac
}

# ---- associations ----
mutant forgets-one-direction associations.cc \
    's/events \|= events_for\(d\);/events = events_for(d);/' 'MixedModes*:All/MixedModes*:Kinds/WriteModes*'
mutant level-is-not-armed-again associations.cc \
    's/^        \(void\)list\(fd, \*place\);/        ;/' 'Kinds/ReadModes*'
mutant edge-is-armed-at-once associations.cc \
    's/place\.spent \|= bit\(d\);/;/' 'Kinds/ReadModes*:Kinds/WriteModes*'
mutant edge-is-not-looked-for associations.cc \
    's/^        edges_\.add\(.*;/        ;/' 'Kinds/ReadModes*:Kinds/WriteModes*'
mutant once-is-told-again associations.cc \
    's/if \(place\.mode\[i\] == Mode::once\).*;/;/' 'Kinds/ReadModes*:Kinds/WriteModes*:Nested.R310*'
mutant no-guard associations.cc \
    's/if \(events == 0 && \(.*\)\) \{/if (events == 0) {/' 'PollOf*'
mutant other-file-is-the-same associations.cc \
    's/if \(identity != place\.identity\) return Errno::no_entry;/;/' 'Closed*:With/Closed*:ClosedNumber*:Kept/*'
mutant stale-report-is-believed associations.cc \
    's/if \(!concerns\(\*place, d, ready\)\) continue;/if (place->mode[static_cast<size_t>(d)] == Mode::none) continue;/' \
    'Kinds/ReadModes*:All/MixedModes*:Regress*'
mutant files-go-to-the-port associations.cc \
    's/if \(S_ISREG\(.*return Errno::not_permitted;/;/' 'ReadFile*'
mutant inner-queue-does-not-count associations.cc \
    's/if \(queue_count_ > 0\) look_at_queues.*;/;/' 'Nested.*:Closed.R291*'
mutant lost-associations-stay-lost associations.cc \
    's/if \(place\.registered && place\.live\) \(void\)list/if (place.registered \&\& false) (void)list/' \
    'Duplicate.*:FirstDuplicate.*:Moved.*:By/MovedQueue*'
# ---- backend ----
mutant nobody-asks-for-lost-ones backend.cc \
    's/if \(fds_\.probe\(.*make_good\(\);/;/' 'Duplicate.*:FirstDuplicate.*:Moved.*:By/MovedQueue*'
mutant ring-without-room-is-lost backend.cc \
    's/if \(!answer\.tell\((.*)\)\) bells::ring\(\*bell_\);/(void)answer.tell(\1);/' 'Interrupt.R54_*:Signal.R219_*'
mutant nothing-is-held backend.cc \
    's/if \(held && !hold_sent_\).*;/;/' 'Of/Poll.*:Threads.*:User.*'
mutant held-for-ever backend.cc \
    's/if \(!held && hold_sent_\) sift\(\);/;/' 'Of/Poll.*:User.*'
mutant sleepers-oversleep backend.cc \
    's/if \(next != kForever && sleepers_.*/;/' 'Threads.R300*'
mutant own-is-always-first backend.cc \
    's/= !own_filled_ && /= /' 'TimerAdd.R47*'
mutant takes-from-another-queue backend.cc \
    's/if \(!exists\(\)\) return Errno::bad_descriptor;/;/' 'FirstDuplicate.*'
mutant itself-can-be-watched backend.cc \
    's/if \(port_bell::file_of\(fd\) == bell_->file\.load\(\)\) return Errno::invalid;/;/' 'Nested.R311*'
mutant timers-of-the-port-stay backend.cc \
    's/if \(timer\.user\(\) == event\.portev_user\) timer\.heard\(\);/;/' 'Of/Poll.*:Timer.*:Moved.*'
# ---- waiting ----
mutant events-of-etime-are-lost backend_wait.cc \
    's/\(wait\.result == 0 \|\| wait\.error == ETIME\)/(wait.result == 0)/' 'Timer.*:Threads.*:Timeout.*' etime_events=0.9
mutant eintr-for-silent-signals backend_wait.cc \
    's/return pending_signals::count_silent\(\) != silent .*;/return Errno::interrupted;/' 'Interrupt.R50*'
# ---- tokens, timers, files ----
mutant ring-is-not-sent port_bell.cc \
    's/if \(!bell\.ring\.begin\(seen\)\) return;/if (!bell.ring.begin(seen) || true) return;/' 'User.*:Signal.*'
mutant earlier-deadline-is-not-set port_timer.cc \
    's/\(exists_ && t >= set_\)/exists_/' 'Timer.*'
mutant reads-are-not-told port_files.cc \
    's/if \(\(events & FILE_ACCESS\) != 0\).*;/;/' 'VnodeFile.R197*'
mutant attributes-are-not-asked-for port_files.cc \
    's/if \(\(wanted & kAttributes\) != 0\).*;/;/' 'VnodeFile*:VnodeFlags*'
mutant renames-are-not-told port_files.cc \
    's/\(events & FILE_RENAME_FROM\) != 0 \? kMoved : kUnknown/kUnknown/' 'Vnode*'
mutant lost-files-stay-lost port_files.cc \
    's/disarm\(\*objects_\[i\], false\);/continue;/' 'Duplicate.R11*'

printf '%d noticed, %d not\n' "$noticed" "$missed"
((missed == 0))
