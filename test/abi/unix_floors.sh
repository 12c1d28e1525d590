# SPDX-License-Identifier: BSD-2-Clause
# unix_floors.sh SOURCE_DIR: the floors of src/posix (its README). A file uses its own floor and
# those below; no other backend uses the poll() backend.
set -eu
cd "$1"
ground='threading cancellation dispositions left_signals program_actions signals signal_names signal_source pthreads file_stat'
first='amount bells child_hints children clocks connection descriptor fd_identity file_watch open_numbers
open_at pending_signals pipe_device poll_bits sockets sys system'
is_one_of() { # <file of src/posix> <name>...
    name=$(basename "$1" .cc)
    name=$(basename "$name" .h)
    shift
    case " $(echo $*) " in *" $name "*) return 0 ;; esac
    return 1
}
quoted() { sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' "$1"; }
status=0
wrong() {
    echo "$1"
    status=1
}
check_floor() { # <what it may use>; $floor: whose files
    for name in $floor; do
        for file in src/posix/$name.cc src/posix/$name.h; do
            [ -f "$file" ] || continue
            for header in $(quoted "$file"); do
                # Of the core; or each platform's own, which platform.h names; or of these floors.
                [ -f "src/$header" ] || [ "$header" = threading.h ] || is_one_of "$header" $1 ||
                    wrong "$file is for all Unix systems, and includes $header"
            done
        done
    done
}
floor=$ground
check_floor "$ground"
floor=$first
check_floor "$ground $first"

for directory in src/*/; do
    [ "$directory" != src/posix/ ] || continue
    for file in "$directory"*.cc "$directory"*.h; do
        [ -f "$file" ] || continue
        for header in $(quoted "$file" | grep '^[.][.]/posix/'); do
            is_one_of "$header" $ground $first || wrong "$file includes $header of the poll() backend"
        done
    done
done
# The lists say the same.
for source in $(grep -ho 'src/posix/[a-z_]*[.]cc' cmake/*.cmake); do
    where=$(grep -lE "^ *$source" cmake/*.cmake | tr '\n' ' ')
    list=cmake/backend_posix.cmake
    ! is_one_of "$source" $ground $first || list=cmake/unix_common.cmake
    [ "$where" = "$list " ] || wrong "$source is in $where, not in $list"
done
exit $status
