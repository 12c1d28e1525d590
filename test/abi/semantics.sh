# SPDX-License-Identifier: BSD-2-Clause
# semantics.sh SOURCE_DIR: the specification in test/semantics is whole.
# 1. Every rule and section stands there once, without a hole in the numbers.
# 2. Every rule, section and entry of BUGS.md that this tree names is there; entries are whole.
# 3. Every rule is named by a test; every decision too, or by rules that are; or it says why not.
set -eu
export LC_ALL=C
cd "$1"
spec=test/semantics
files=$(find README.md BUGS.md NEWS.md include src test cmake .ci .github -type f \
    ! -path "$spec/*" ! -path 'test/fuzz/corpus/*' ! -name '*.svg' 2>/dev/null || true)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# complain WHAT: the lines of the standard input are what is wrong, if there are any
complain() {
    sort -u >"$work/wrong"
    [ -s "$work/wrong" ] || return 0
    echo "$1:"
    sed 's/^/    /' "$work/wrong"
    : >"$work/failed" # a variable would not do: the end of a pipe is a process of its own
}
# without_hole LETTER: the numbers of the standard input are 1, 2, 3 ... in any order
without_hole() {
    sort -n | awk -v letter="$1" '$1 != NR && !said { print letter "-" NR " is missing or written twice"; said = 1 }'
}

# ---- what is written ----
sed -n 's/^- \*\*\([RD]-[0-9]*\)\*\*.*/\1/p' "$spec"/*.md >"$work/all"
sort -u "$work/all" >"$work/rules"
for letter in R D; do
    sed -n "s/^$letter-//p" "$work/all" | without_hole $letter | complain "$spec is not complete"
done
# 5.1.1 is written "511" in the names of tests
grep -hE '^#+ [0-9]' "$spec"/*.md | grep -oE '[0-9]+(\.[0-9]+)*\b' >"$work/sections"
# An entry is a heading and three lines, or, in sections that are written otherwise, begins with its name.
awk '
    function judge() { if (entry != "" && lines != 3) print "incomplete", entry; entry = "" }
    /^#/ { judge() }
    /^#### [NLPSW]-[A-Z0-9-]+$/ { entry = $2; lines = 0; print "entry", entry }
    /^- \*\*[SW]-[A-Z0-9-]+\.\*\*/ { name = $2; gsub(/[*.]/, "", name); print "entry", name }
    /^- \*(What happens|When|What to do):\* [^ ]/ { lines++ }
    END { judge() }' BUGS.md >"$work/bugs"
sed -n 's/^entry //p' "$work/bugs" | sort >"$work/entries"
uniq -d "$work/entries" | complain "entries that BUGS.md has twice"
sed -n 's/^incomplete //p' "$work/bugs" | complain "entries of BUGS.md without the three lines"
# Links within it lead to a heading.
grep -oE '\(#[a-z0-9-]+\)' BUGS.md | tr -d '(#)' | sort -u >"$work/links"
sed -n 's/^##* //p' BUGS.md | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n-' | sort -u | comm -13 - "$work/links" |
    complain "links of BUGS.md that lead nowhere"

# ---- what is named, file by file: "<file> <rule>"; "R-28 to R-32" are five ----
awk '
    function name(rule) { print FILENAME, rule }
    {
        line = $0
        while (match(line, /(^|[^A-Za-z0-9_])[RD]-[0-9]+ to ([RD]-)?[0-9]+/)) {
            range = substr(line, RSTART, RLENGTH); line = substr(line, RSTART + RLENGTH)
            letter = range ~ /R-/ ? "R" : "D"
            gsub(/[^0-9 ]/, "", range); split(range, ends, " ")
            for (i = ends[1]; i <= ends[2] + 0; i++) name(letter "-" i)
        }
        line = $0
        while (match(line, /(^|[^A-Za-z0-9_])[RD]-?[0-9]+(_|[^A-Za-z0-9_]|$)/)) {
            rule = substr(line, RSTART, RLENGTH); line = substr(line, RSTART + RLENGTH - 1)
            letter = rule ~ /R/ ? "R" : "D"
            gsub(/[^0-9]/, "", rule)
            name(letter "-" rule + 0)
        }
    }' $files >"$work/named"
cut -d' ' -f2 "$work/named" | sort -u | comm -23 - "$work/rules" |
    while read -r rule; do grep -m1 " $rule\$" "$work/named"; done | complain "rules that $spec does not have"
{
    grep -hoE '\bsemantics [0-9.]+[0-9]((, | and | to )[0-9.]+[0-9])*' $files | grep -oE '[0-9]+(\.[0-9]+)*'
    grep -hoE 'TEST[A-Z_]*\([A-Za-z0-9]+, *S[0-9]+_' $files | grep -oE 'S[0-9]+_$' | tr -d S_ |
        while read -r digits; do
            sed 's/\./ /g' "$work/sections" | tr -d ' ' | grep -qx "$digits" || echo "$digits"
        done
} | sort -u | grep -vxFf "$work/sections" | complain "sections that $spec does not have" || true
grep -hoE '(^|[^A-Za-z0-9_-])[NLPSW]-[A-Z][A-Z0-9]*(-[A-Z0-9]+)*' $files "$spec"/*.md | grep -oE '[NLPSW]-.*' |
    sort -u | comm -23 - "$work/entries" | complain "entries that BUGS.md does not have"

# ---- what is tested ----
sed -n 's,^test/[^ ]* ,,p' "$work/named" | sort -u >"$work/tested"
: >"$work/reasons"
awk -v tested="$work/tested" -v reasons="$work/reasons" '
    function judge(    rules, i) {
        if (rule == "") return
        if (text ~ /\*Not tested:\* [a-z]/) { print rule >reasons; return }
        if (rule in is_tested) return
        if (rule ~ /^D/ && text ~ /Rules: R-/) {
            sub(/.*Rules: /, "", text); split(text, rules, /[^RD0-9-]+/)
            for (i in rules) if (rules[i] in is_tested) return
        }
        print rule
    }
    BEGIN { while ((getline line <tested) > 0) is_tested[line] = 1 }
    /^- \*\*[RD]-[0-9]+\*\*/ { judge(); rule = $2; gsub(/\*/, "", rule); text = $0; next }
    /^  / { sub(/^ +/, ""); text = text " " $0; next }
    { judge(); rule = "" }
    END { judge() }' "$spec"/*.md | complain "neither tested, nor is there a reason (*Not tested:* ...)"

[ ! -e "$work/failed" ] || exit 1
echo "$(grep -c ^R "$work/rules") rules, $(grep -c ^D "$work/rules") decisions," \
    "of which tests name $(grep ^R "$work/tested" | comm -12 - "$work/rules" | grep -c .)" \
    "and $(grep ^D "$work/tested" | comm -12 - "$work/rules" | grep -c .);" \
    "for $(grep -c . "$work/reasons" || true) there is a reason why not"
