#!/bin/sh
# tests/proof/run.sh: proves the orders that common/shm, the broker's publishing and the workers' seeding rely on, with Spin; and that the
# proofs can fail.
#
# Each model must hold as it is written; each named mutation of it, and each witness (a claim that a state is never
# reached, which must be refuted), must make it fail by an assertion. Anything else (a search cut short, a model that
# does not compile, a mutation that passes) is a failure. About 25 s on two cores: a search keeps one of them busy, so as many run at once as
# there are. Needs spin and a C compiler; writes only to a temporary directory. Exit status 0 only if everything was as expected.
set -u
here=$(cd "$(dirname "$0")" && pwd)

# one MODEL holds|fails [DEFINE]: the line that tells how it went; exit status 0 if as wanted
one() {
    model=$1 want=$2 define=${3:-}
    dir=$work/$model-${define:-real}
    mkdir -p "$dir" && cp "$here"/*.pml "$dir" && cd "$dir" || exit 1
    got=broken
    if spin -a ${define:+-D"$define"} "$model.pml" >spin.log 2>&1 &&
        ${CC:-cc} -O1 -w -DSAFETY -DNOCLAIM -o pan pan.c >cc.log 2>&1; then
        ./pan -m200000 >pan.log 2>&1
        if grep -q 'search depth too small\|out of memory' pan.log; then
            got=cut-short
        elif grep -q 'assertion violated' pan.log && grep -q 'errors: [1-9]' pan.log; then
            got=fails
        elif grep -q 'errors: 0' pan.log; then
            got=holds
        fi
    fi
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log 2>/dev/null)
    verdict=ok
    if [ "$got" != "$want" ]; then
        verdict="NOT OK, wanted: $want"
        tail -n 20 spin.log cc.log pan.log 2>/dev/null
    fi
    printf '%-8s %-20s %-7s %9s states  %s\n' "$model" "${define:-(as built)}" "$got" "${states:--}" "$verdict"
    [ "$got" = "$want" ]
}

if [ "${1:-}" = one ]; then # this script, called by itself below
    work=$2
    shift 2
    number=$1
    shift
    if one "$@" >"$work/$number.out" 2>&1; then echo 1 >"$work/$number.ok"; fi
    exit 0
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/noria-proof-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
checks=0
check() { # MODEL holds|fails [DEFINE]
    checks=$((checks + 1))
    printf '%s %s\n' "$checks" "$*" >>"$work/checks"
}

check ring holds
for mutation in HEAD_FIRST HEAD_RELAXED RESERVE_LATE WORDS_RELAXED READ_RESERVE_FIRST NO_LAP_CHECK RESERVE_BACK \
    WITNESS_READ WITNESS_LAP WITNESS_KILL; do
    check ring fails $mutation
done
check lvt holds
for mutation in NOT_ODD ODD_LATE WORDS_RELAXED EVEN_RELAXED ONE_LOOK LOOK_EARLY TAKES_ODD REPAIR_EVEN \
    MARK_KEPT MARK_BY_PUT WITNESS_READ WITNESS_ODD WITNESS_LEAVING; do
    check lvt fails $mutation
done
check bell holds
for mutation in NO_RECHECK CHECK_FIRST SLEEP_RELAXED HEAD_RELAXED RING_FIRST WITNESS_SLEEP WITNESS_QUIET; do
    check bell fails $mutation
done

check publish holds
for mutation in LVT_FIRST LVT_BEFORE_HEAD NO_REPAIR AT_THE_HEAD SETTLED_EARLY SEED_FIRST TAKES_OLD \
    WITNESS_KILL WITNESS_SEED WITNESS_OLD; do
    check publish fails $mutation
done
check machine holds
for mutation in CLEAR_FIRST EVENT_FIRST NO_MARK NO_LOOK FORGETS WITNESS_KILL WITNESS_TOLD; do
    check machine fails $mutation
done
check replace holds
for mutation in RENAME_FIRST NAME_EARLY TAKES_RETIRED WITNESS_KILL WITNESS_MOVED; do
    check replace fails $mutation
done

# A line of three or four words each; what did not leave its mark did not go as wanted, however it ended.
xargs -P "${NORIA_JOBS:-$(nproc)}" -L 1 "$here/run.sh" one "$work" <"$work/checks"
passed=0
for number in $(seq "$checks"); do
    cat "$work/$number.out"
    [ ! -f "$work/$number.ok" ] || passed=$((passed + 1))
done
echo "$passed passed, $((checks - passed)) failed"
[ "$passed" -eq "$checks" ]
