#!/bin/sh
# The quick start: builds the module and the tool, starts a FreeRADIUS of its own with the shipped configuration on SQLite, and lets
# three subscribers dial in. Everything happens in a temporary folder and on free ports of 127.0.0.1; nothing of it is left behind.
# Usage: examples/quickstart.sh    Needs Rust; other packages are installed where that is possible. Ends with 0 if all was as promised.
# IPPOOL_RS_BUILT=FOLDER: with what was built there, instead of building.
set -eu
cd "$(dirname "$0")/.."
tests/install-packages.sh build radiusd

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
fail() {
	printf '\nNot as promised: %s\n' "$*" >&2
	[ -f "$work/radius.log" ] && tail -n 20 "$work/radius.log" >&2
	exit 1
}

if [ -n "${IPPOOL_RS_BUILT:-}" ]; then
	say "1. librlm_ippool_rs.so and ippool-rs of $IPPOOL_RS_BUILT"
	built=$IPPOOL_RS_BUILT
else
	say "1. Build: rlm_ippool_rs.so for radiusd, and ippool-rs for you (some minutes the first time)"
	cargo build --release --lib --bins
	built=${CARGO_TARGET_DIR:-target}/release
fi

work=$(mktemp -d)
pid=
tidy() {
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	fi
	rm -rf "$work"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

radiusd=$(command -v freeradius || command -v radiusd || PATH=/usr/sbin:/usr/local/sbin command -v freeradius radiusd | head -n 1)
for folder in /usr/lib/freeradius /usr/lib64/freeradius /usr/local/lib; do
	[ -e "$folder/rlm_pap.so" ] && modules=$folder && break
done
IPPOOL_RS_DATABASE=sqlite://$work/ippool.db
export IPPOOL_RS_DATABASE

say "2. A database with a pool: ippool-rs schema up; ippool-rs pool add main 198.51.100.0/24"
"$built/ippool-rs" schema up
[ "$(id -u)" != 0 ] || echo "(Not needed here: this radiusd will run as root, too.)"
"$built/ippool-rs" pool add main 198.51.100.0/24

# The shipped files, as they are but for the place of the database, the ports, and who may ask.
mkdir "$work/mods" "$work/sites"
cp "$built/librlm_ippool_rs.so" "$work/rlm_ippool_rs.so"
sed "s|sqlite:///var/lib/ippool-rs/ippool.db|$IPPOOL_RS_DATABASE|" freeradius/mods-available/ippool_rs >"$work/mods/ippool_rs"
# The users are those of the site's own comment.
cat >"$work/users" <<USERS
alice	Cleartext-Password := "alice", Pool-Name := "main"
bob	Cleartext-Password := "bob", Pool-Name := "main"
carol	Cleartext-Password := "carol", Pool-Name := "main"
	Framed-IP-Address = 198.51.100.10
USERS
printf 'DEFAULT\n\tReply-Message =* ANY\n' >"$work/access_reject"
# A distribution's radiusd.conf has all of this; this is the least that the site needs.
cat >"$work/radiusd.conf" <<CONF
prefix = "$work"
confdir = "$work"
logdir = "$work"
run_dir = "$work"
libdir = "$work:$modules"
pidfile = "$work/radiusd.pid"
security {
	max_attributes = 200
	reject_delay = 0
	status_server = no
}
thread pool {
	start_servers = 4
	max_servers = 4
	min_spare_servers = 1
	max_spare_servers = 4
}
client this_machine {
	ipaddr = 127.0.0.1
	secret = testing123
}
modules {
	preprocess {
	}
	pap {
	}
	chap {
	}
	mschap {
	}
	files {
		filename = "$work/users"
	}
	attr_filter attr_filter.access_reject {
		key = "%{User-Name}"
		filename = "$work/access_reject"
	}
	\$INCLUDE $work/mods/
}
\$INCLUDE $work/sites/
CONF

# start PORT: radiusd on PORT and the next one; false if somebody else has them.
start() {
	sed -e "s/port = 1812/port = $1/" -e "s/port = 1813/port = $(($1 + 1))/" -e "s/ipaddr = \*/ipaddr = 127.0.0.1/" \
		freeradius/sites-available/ippool_rs >"$work/sites/ippool_rs"
	: >"$work/radius.log"
	"$radiusd" -f -d "$work" -l "$work/radius.log" >"$work/console" 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		grep -q "Ready to process requests" "$work/radius.log" && return 0
		if ! kill -0 "$pid" 2>/dev/null; then
			wait "$pid" || :
			pid=
			grep -q "in use" "$work/radius.log" "$work/console" && return 1
			cat "$work/console" >&2
			fail "radiusd did not start"
		fi
		sleep 0.1
	done
	fail "radiusd is not ready after 10 seconds"
}

say "3. radiusd with mods-available/ippool_rs and sites-available/ippool_rs"
port=$((20000 + $$ % 20000 / 2 * 2))
until start "$port"; do
	port=$((port + 2))
	[ "$port" -lt 60000 ] || fail "no free ports"
done
echo "$("$radiusd" -v | sed -n '1s/.*\(FreeRADIUS Version [0-9.]*\).*/\1/p'), process $pid, ports $port and $((port + 1)) of 127.0.0.1"

# ask PORT KIND: sends the attributes of its standard input; the answer is in $work/answer.
ask() {
	radclient -x -t 3 -r 1 "127.0.0.1:$1" "$2" testing123 >"$work/answer" 2>&1 || :
	sed -n '/^Received/,$p' "$work/answer" >"$work/received"
}
# value NAME: of the answer.
value() { sed -n "s/^[[:space:]]*$1 = //p" "$work/received" | head -n 1; }

# login USER SESSION STATION: what a PPPoE concentrator sends; leaves address and class.
login() {
	ask "$port" auth <<PACKET
User-Name = "$1"
User-Password = "$1"
Service-Type = Framed-User
Framed-Protocol = PPP
NAS-IP-Address = 127.0.0.1
NAS-Port-Id = "ether1"
Acct-Session-Id = "$2"
Calling-Station-Id = "$3"
PACKET
	grep -q "^Received Access-Accept" "$work/received" || { cat "$work/answer" >&2; fail "$1 was not let in"; }
	address=$(value Framed-IP-Address)
	class=$(value Class)
	printf '%-6s session %s  ->  Framed-IP-Address = %s\n' "$1" "$2" "$address"
}

# account KIND USER SESSION STATION: for the address and class of the last login.
account() {
	ask "$((port + 1))" acct <<PACKET
Acct-Status-Type = $1
User-Name = "$2"
NAS-IP-Address = 127.0.0.1
NAS-Port-Id = "ether1"
Acct-Session-Id = "$3"
Calling-Station-Id = "$4"
Framed-IP-Address = $address
Class = $class
PACKET
	grep -q "^Received Accounting-Response" "$work/received" || fail "no answer to the Accounting-$1"
	printf '%-6s session %s  ->  Accounting-%s acknowledged\n' "$2" "$3" "$1"
}

# held: address, user and session of each lease, one a line.
held() { "$built/ippool-rs" -o csv lease list | cut -d, -f1,4,6 | tail -n +2; }
expect() { # expect WANTED FOUND WHAT
	[ "$1" = "$2" ] || fail "$3: expected $1, found $2"
}

say "4. Three subscribers dial in (carol has an address of her own in the file users)"
login alice a1 02-00-00-00-00-0A
alice=$address alice_class=$class
login bob b1 02-00-00-00-00-0B
bob=$address
login carol c1 02-00-00-00-00-0C
carol=$address
expect 3 "$(printf '%s\n' "$alice" "$bob" "$carol" | grep '^198\.51\.100\.' | sort -u | wc -l)" "different addresses of the pool"
expect 198.51.100.10 "$carol" "carol's own address"

say "5. ippool-rs lease list"
"$built/ippool-rs" lease list
expect "$alice,alice,
$bob,bob,
$carol,carol," "$(held | sed 's/,[a-z0-9]*$/,/')" "the list"

say "6. alice's connection drops unnoticed, and she dials again from the same device: the same address"
address=$alice class=$alice_class
account Start alice a1 02-00-00-00-00-0A
login alice a2 02-00-00-00-00-0A
expect "$alice" "$address" "alice's address"
[ "$class" != "$alice_class" ] || fail "the new session has the old one's Class"
account Start alice a2 02-00-00-00-00-0A
new_class=$class

say "7. The late Stop of her first session changes nothing; the Stop of the second ends her lease"
class=$alice_class
account Stop alice a1 02-00-00-00-00-0A
held | grep -q "^$alice,alice,a2" || fail "a late Stop ended a lease that was not its own"
class=$new_class
account Stop alice a2 02-00-00-00-00-0A

say "8. ippool-rs lease list, and pool list"
"$built/ippool-rs" lease list
"$built/ippool-rs" pool list
expect "$bob,bob,
$carol,carol," "$(held | sed 's/,[a-z0-9]*$/,/')" "the list"

say "All as promised. The folder and radiusd (process $pid) go now; README.md says how to install it for good."
