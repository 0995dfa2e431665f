#!/bin/sh
# Installs the packages of Debian 12 that are missing for what is named; does nothing, and asks nothing, where all is there.
# Usage: tests/install-packages.sh build|radiusd|postgres|tools|clients …
#   build     what the compiler needs      radiusd   a FreeRADIUS to load the module, its DHCP, and radclient
#   postgres  a PostgreSQL for the tests, and rlm_sqlippool's driver for it, to compare with      tools   valgrind, sqlite3
#   clients   Python and Node, for the RouterOS clients that others wrote (tests/fake/outsiders.rs)
# As root, or by sudo; where neither can be, it says what to install, and ends with 1. What it installs starts no service.
set -eu

missing=
need() { # need PACKAGE FILE…: one of the files tells that the package is there
	package=$1
	shift
	for file; do
		[ -e "$file" ] && return
	done
	missing="$missing $package"
}

for part; do
	case $part in
	build)
		need gcc /usr/bin/cc
		need libc6-dev /usr/include/stdio.h
		need pkg-config /usr/bin/pkg-config
		need libclang-dev /usr/lib/llvm-*/lib/libclang.so* /usr/lib64/libclang.so*
		need libpq-dev /usr/bin/pg_config /usr/lib/*/libpq.so
		need libsqlite3-dev /usr/lib/*/libsqlite3.so /usr/lib64/libsqlite3.so
		;;
	radiusd)
		need freeradius /usr/sbin/freeradius /usr/sbin/radiusd /usr/local/sbin/radiusd
		need freeradius-utils /usr/bin/radclient /usr/local/bin/radclient
		need freeradius-dhcp /usr/lib/freeradius/proto_dhcp.so /usr/lib64/freeradius/proto_dhcp.so /usr/local/lib/proto_dhcp.so
		;;
	postgres)
		need postgresql-15 /usr/lib/postgresql/*/bin/initdb /usr/bin/initdb /usr/pgsql-*/bin/initdb
		need freeradius-postgresql /usr/lib/freeradius/rlm_sql_postgresql.so /usr/lib64/freeradius/rlm_sql_postgresql.so
		;;
	tools)
		need valgrind /usr/bin/valgrind
		need sqlite3 /usr/bin/sqlite3
		;;
	clients)
		# Any will do, from wherever they are.
		python3 -m ensurepip --version >/dev/null 2>&1 || missing="$missing python3-venv"
		command -v node >/dev/null || missing="$missing nodejs"
		command -v npm >/dev/null || missing="$missing npm"
		;;
	*)
		echo "$0: there is no part $part" >&2
		exit 2
		;;
	esac
done

if [ -n "$missing" ]; then
	sudo=
	if [ "$(id -u)" != 0 ]; then
		# Where somebody sits who can be asked for a password, sudo asks.
		if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
			sudo=sudo
		else
			echo "please install first:$missing" >&2
			echo "  on Debian or Ubuntu: sudo apt-get install --no-install-recommends$missing" >&2
			exit 1
		fi
	fi
	if ! command -v apt-get >/dev/null; then
		echo "please install what these packages of Debian contain:$missing" >&2
		exit 1
	fi
	echo "installing:$missing" >&2
	# No service may start by being installed. A policy that others made is left alone.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap '$sudo rm -f "$policy"' EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
		$sudo chmod 755 "$policy"
	fi
	$sudo apt-get update -q >&2
	# shellcheck disable=SC2086 # a list of words
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >&2 </dev/null
fi

if ! command -v cargo >/dev/null; then
	echo "Rust is not installed, or not in PATH: https://rustup.rs has it (the rustc of Debian 12 is too old)." >&2
	exit 1
fi
