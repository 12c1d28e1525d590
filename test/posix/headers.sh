# SPDX-License-Identifier: BSD-2-Clause
# headers <directory> <source dir> <compiler> <option>...: makes <directory>/headers.h and
# precompiles it. headers.h has strict.h and the C++ headers that most files include. Reading these
# headers takes longer than compiling everything else.
headers() {
    headers_of=$1/headers.h
    printf '#include "%s/test/posix/strict.h"\n' "$2" >"$headers_of"
    for header in algorithm atomic concepts iterator new span type_traits utility; do
        printf '#include <%s>\n' $header >>"$headers_of"
    done
    shift 2
    "$@" -x c++-header -o "$headers_of.gch" -c "$headers_of"
}
