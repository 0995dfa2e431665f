#!/bin/sh
# The long tests, for when nobody waits: valgrind over radiusd with the module, the long simulator, millions of packets, crashes, churn.
# Usage: tests/soak.sh. The last line is `N passed, N failed`. tests/run.sh has what every change must pass.
set -eu
cd "$(dirname "$0")/.."
tests/install-packages.sh build radiusd postgres tools

out=$(mktemp)
trap 'rm -f "$out"' EXIT
trap 'exit 1' HUP INT TERM
# Full sizes in tests/proof; more lives, and more orders against the model, in tests/sim; seconds for each target of the fuzzer.
export IPPOOL_RS_SOAK=1 SIM_SEEDS="${SIM_SEEDS:-3000}" SIM_MODEL="${SIM_MODEL:-20000}" SIM_DUAL="${SIM_DUAL:-2500}" IPPOOL_RS_FUZZ="${IPPOOL_RS_FUZZ:-60}"
passed=0 failed=0

# check COMMAND…: one check, passed if the command ends with 0.
check() {
	echo "== $*"
	if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
# suite TARGET…: what these test programs count.
suite() {
	echo "== cargo test --release $*"
	{ if cargo test --release --no-fail-fast "$@" -- --nocapture 2>&1; then :; else echo "suite failed"; fi; } | tee "$out"
	counts=$(awk '/^test result: / { for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i } }
		END { print p + 0, f + 0 }' "$out")
	passed=$((passed + ${counts% *}))
	failed=$((failed + ${counts#* }))
	# It did not compile, or a program died.
	if grep -q '^suite failed$' "$out" && [ "${counts#* }" = 0 ]; then failed=$((failed + 1)); fi
}

cargo build --lib
check tests/module/valgrind.sh
# A minute of bent inputs for each reader of what comes from outside.
suite --lib fuzz
for target in sim battery proof reconcile routers serve; do
	[ ! -e "tests/$target.rs" ] || suite --test "$target"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
