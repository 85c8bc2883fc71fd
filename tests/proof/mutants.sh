#!/bin/bash
# tests/proof/mutants.sh: the tests of common/shm must notice what is wrong with it.
#
#     tests/proof/mutants.sh             all
#     tests/proof/mutants.sh WORD        those with the word in their name
#
# Each patch in defects/ weakens one order or leaves out one check, in a copy of the sources. Its first lines say what must notice it:
#
#     # test: shm_thread_test
#     # by: race       ThreadSanitizer reports a data race (words are atomics: TSan sees only what became plain or lost its order)
#     # by: failure    the test fails, without any sanitizer: a weakened order that x86 shows, a check that is not there. Only tests
#                      that meet it in every run are named, whatever the machine's load: one try
#
# The sources as they are must pass the same tests in both builds. A patch that does not apply, or does not compile, is a failure: it is
# to be brought up to date. Writes only to a temporary directory. Exit status 0 only if everything was as expected.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
word=${1:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/noria-mutants-XXXXXX") || exit 1
[ -w /dev/shm ] && memory=/dev/shm || memory=$work
NORIA_TEST_SHM=$(mktemp -d "$memory/nm.XXXXXX") || exit 1 # mutants crash, and leave their files
export NORIA_TEST_SHM
trap 'rm -rf "$work" "$NORIA_TEST_SHM"' EXIT
trap 'exit 1' INT TERM
passed=0
failed=0

parts="base model stats shm/layout shm/writer shm/reader"
flags="-std=gnu17 -g -D_GNU_SOURCE -DNORIA_VERSION=\"mutant\" -fno-strict-aliasing -pthread"
for part in $parts; do flags="$flags -Icommon/$part"; done
declare -A build=([race]="-O1 -fsanitize=thread -fno-omit-frame-pointer" [failure]="-O2")
export TSAN_OPTIONS=halt_on_error=1

compile() { # TREE KIND FILE: one object beside the source, if there is none yet
    local object=$1/$2/${3//\//_}.o
    [ -f "$object" ] || (cd "$1" && ${CC:-cc} $flags ${build[$2]} -c "$3" -o "$object")
}
objects() { # TREE KIND: all of common/ that the tests need, two at a time
    local sources
    mkdir -p "$1/$2"
    sources=$(cd "$1" && for part in $parts; do ls common/$part/*.c; done)
    for source in $sources; do
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || return 1; done
        compile "$1" "$2" "$source" &
    done
    wait
}
link() { # TREE KIND TEST
    compile "$1" "$2" "tests/unit/$3.c" &&
        (cd "$1/$2" && ${CC:-cc} ${build[$2]} -pthread -o "$3" "tests_unit_$3.c.o" common_*.o -lcmocka)
}
run() { # TREE KIND TEST: passes, fails, races, or hangs, which proves nothing
    (ulimit -c 0; cd "$1/$2" && timeout 120 "./$3" >"$3.log" 2>&1)
    local status=$?
    if grep -q 'ThreadSanitizer: data race' "$1/$2/$3.log"; then echo race
    elif [ $status = 0 ]; then echo passes
    elif [ $status = 124 ]; then echo hangs
    else echo failure; fi
}
say() { # GOT WANTED NAME TEST
    local verdict=ok
    if [ "$1" = "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        verdict="NOT OK, wanted: $2"
    fi
    printf '%-26s %-16s %-8s %s\n' "$3" "$4" "$1" "$verdict"
}

sound=$work/sound
mkdir -p "$sound/tests/unit" "$sound/common"
for part in $parts; do
    mkdir -p "$sound/common/$part" && cp "$root"/common/$part/*.[ch] "$sound/common/$part/"
done
cp "$root"/tests/unit/{shm,ring,lvt,stats}_*.[ch] "$sound/tests/unit/"
mapfile -t patches < <(ls "$here"/defects/*"$word"*.patch)
for kind in race failure; do
    tests=$(grep -l "^# by: $kind" "${patches[@]}" | xargs -r sed -n 's/^# test: //p' | sort -u)
    [ -n "$tests" ] || continue
    objects "$sound" $kind || exit 1
    for test in $tests; do
        link "$sound" $kind "$test" || exit 1
        say "$(run "$sound" $kind "$test")" passes "(as built, $kind)" "$test"
    done
done

mutate() { # PATCH
    local name kind test tree got
    name=$(basename "$1" .patch)
    kind=$(sed -n 's/^# by: \([a-z]*\).*/\1/p' "$1")
    test=$(sed -n 's/^# test: //p' "$1")
    tree=$work/$name
    cp -al "$sound" "$tree" && rm -f "$tree/$kind/$test"
    got="no patch"
    # Hard links: what is changed is copied first, and its object made anew.
    for file in $(sed -n 's/^+++ b\///p' "$1"); do
        cp --remove-destination "$sound/$file" "$tree/$file"
        rm -f "$tree/$kind/${file//\//_}.o"
    done
    if (cd "$tree" && patch -p1 -s -f --no-backup-if-mismatch -F0 <"$1") >"$tree/log" 2>&1; then
        got="no build"
        if objects "$tree" "$kind" >>"$tree/log" 2>&1 && link "$tree" "$kind" "$test" >>"$tree/log" 2>&1; then
            got=$(run "$tree" "$kind" "$test")
        fi
    fi
    say "$got" "$kind" "$name" "$test"
    [ "$got" = "$kind" ] || tail -n 15 "$tree/log" "$tree/$kind/$test.log" 2>/dev/null
    rm -rf "$tree"
}
for patch in "${patches[@]}"; do mutate "$patch"; done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
