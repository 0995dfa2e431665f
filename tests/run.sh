#!/bin/sh
# Runs the whole suite: tests/run.sh [arguments of cargo test]. The last line is `N passed, N failed`; the status is 0 only if none failed.
# Installs what is missing (tests/install-packages.sh). The long tests are not here but in tests/soak.sh.
set -eu
cd "$(dirname "$0")/.."
tests/install-packages.sh build radiusd postgres tools clients

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
trap 'exit 1' HUP INT TERM
extra=0

# What is printed is also kept, to be counted. A program that ended without its line of results counts as one failed.
suite() {
	echo "== cargo test $*"
	began=$(date +%s)
	{
		code=0
		cargo test --no-fail-fast "$@" 2>&1 || code=$?
		echo "$code" >"$out/status"
	} | tee "$out/log"
	cat "$out/log" >>"$out/all"
	ended=$(cat "$out/status")
	if [ "$ended" != 0 ] && ! grep -q '^test result: FAILED' "$out/log"; then
		extra=$((extra + 1))
		echo "run.sh: cargo ended with $ended, though no test failed: it did not compile, or a test program died"
	fi
	echo "== took $(($(date +%s) - began)) s"
}

suite "$@"
# The simulator must find each mistake that can be built into the life cycle.
if [ "$#" = 0 ] && [ -e tests/sim/mutations.rs ]; then
	suite --features faults --test sim mutations
fi

# `test result: ok. 12 passed; 0 failed; …`, one line for each program.
awk -v extra="$extra" '
	/^test result: / {
		for (i = 1; i < NF; i++) {
			if ($(i + 1) ~ /^passed/) passed += $i
			if ($(i + 1) ~ /^failed/) failed += $i
		}
	}
	END {
		failed += extra
		printf "%d passed, %d failed\n", passed, failed
		exit failed > 0 || passed == 0
	}' "$out/all"
