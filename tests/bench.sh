#!/bin/sh
# The benchmark: installs what is missing (Debian 12, as root), builds the release, measures all peers side by side.
# Usage: tests/bench.sh [--quick] [--only PEER,PEER] [--rounds N] [--pool 10k,65k,1M] …; --help lists everything.
# What the numbers mean: docs/benchmark.md.

set -eu
cd "$(dirname "$0")/.."

# A package for each file that must be there.
missing=
need() {
	for file in $1; do
		[ -e "$file" ] && return
	done
	missing="$missing $2"
}
need "/usr/sbin/freeradius /usr/sbin/radiusd" freeradius
need /usr/lib/freeradius/rlm_sql_postgresql.so freeradius-postgresql
need "/usr/lib/postgresql/*/bin/initdb" postgresql-15
need "/usr/bin/pg_config /usr/lib/*/libpq.so" libpq-dev
need "/usr/lib/*/libsqlite3.so" libsqlite3-dev
need "/usr/lib/llvm-*/lib/libclang.so*" libclang-dev
need "/usr/bin/cc" gcc
need "/usr/bin/pkg-config" pkg-config
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "bench.sh: please install first:$missing" >&2
		exit 1
	fi
	# No service may start by being installed: the benchmark runs its own.
	policy=/usr/sbin/policy-rc.d
	made=
	if [ ! -e "$policy" ]; then
		made=$policy
		trap 'rm -f "$made"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
	fi
	apt-get update -q >&2
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >&2
	if [ -n "$made" ]; then
		rm -f "$made"
		trap - EXIT
	fi
fi

if ! command -v cargo >/dev/null; then
	echo "bench.sh: Rust is not installed; see https://rustup.rs" >&2
	exit 1
fi
cargo build --release --lib --bins --example radload >&2
exec "${CARGO_TARGET_DIR:-target}/release/examples/radload" bench "$@"
