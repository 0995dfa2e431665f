#!/bin/sh
# Runs the module in radiusd under valgrind: load and unload (-Cxm), then packets and an orderly end.
# Usage: tests/module/valgrind.sh [path of librlm_ippool_rs.so]
# Needs valgrind, freeradius (or radiusd), radclient, sqlite3. Ends with 0 if valgrind found no error and no block definitely lost in our code.
set -eu

# Cargo leaves it in either place, depending on the command.
built=${CARGO_TARGET_DIR:-target}/debug
module=${1:-$(ls -t "$built"/librlm_ippool_rs.so "$built"/deps/librlm_ippool_rs.so 2>/dev/null | head -n 1)}
server=$(command -v freeradius || command -v radiusd || echo /usr/sbin/freeradius)
libdir=${RADIUSD_LIBDIR:-$(dirname "$(find /usr/lib /usr/lib64 /usr/local/lib -name rlm_always.so 2>/dev/null | head -n 1)")}
auth=${AUTH_PORT:-21812}
acct=${ACCT_PORT:-21813}
folder=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || :; [ -n "${KEEP:-}" ] || rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

cp "$module" "$folder/rlm_ippool_rs.so"
# The server's own leak: client_list_init() keeps 1152 bytes for ever.
cat >"$folder/suppressions" <<'EOF'
{
   clients of radiusd
   Memcheck:Leak
   ...
   fun:client_list_init
   ...
}
EOF
cat >"$folder/radiusd.conf" <<EOF
prefix = "$folder"
confdir = "$folder"
logdir = "$folder"
run_dir = "$folder"
libdir = "$folder:$libdir"
pidfile = "$folder/radiusd.pid"
security {
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
thread pool {
	start_servers = 4
	max_servers = 4
	min_spare_servers = 0
	max_spare_servers = 4
}
client loopback {
	ipaddr = 127.0.0.1
	secret = testing123
}
modules {
	always reject {
		rcode = reject
	}
	ippool_rs {
		database = "sqlite://$folder/leases.db"
		default_pool = main
		timeout = 5
		owner = "%{User-Name}@%{NAS-Identifier}"
		messages {
			success = "got %{reply:Framed-IP-Address}"
		}
		reply_message = yes
		session_timeout = yes
		trigger {
			pool_full = "/bin/true %{User-Name}"
		}
		profile odd {
			condition = "&User-Name =~ /^user[0-9]*[13579]\$/ && (&NAS-Port != 3 || \"%{NAS-Identifier}\" == 'n')"
			weight = "%{%{NAS-Port}:-5}"
			ttl = 600
			update {
				&Framed-IP-Netmask := 255.255.255.0
				&Framed-Route += "0.0.0.0/0 %{reply:Framed-IP-Address} 1"
			}
			pools {
				pool main {
					condition = "!(&User-Name == 'user1')"
					blocker = "%{%{Tmp-String-0}:-perhaps}"
					message = "welcome %{User-Name}"
					update {
						&Filter-Id := "odd"
					}
				}
				pool tiny {
					weight = -1
				}
			}
		}
		pool main {
			update {
				&Session-Timeout := 1000
			}
		}
	}
	ippool_rs second {
		database = "sqlite://$folder/leases.db"
		default_pool = main
		mode = observe
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = $auth
	}
	listen {
		type = acct
		ipaddr = 127.0.0.1
		port = $acct
	}
	authorize {
		update control {
			&Auth-Type := Accept
		}
	}
	post-auth {
		ippool_rs
		update reply {
			&Reply-Message := "%{ippool_rs:stats} %{ippool_rs:lease ip_address}"
		}
		if (&NAS-Port == 9) {
			second
			reject
		}
		Post-Auth-Type REJECT {
			ippool_rs
		}
	}
	accounting {
		ippool_rs
	}
}
EOF

check() {
	echo "== $1"
	shift
	valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
		--suppressions="$folder/suppressions" "$server" -d "$folder" "$@"
}

check "load and unload" -Cxm -lstdout >"$folder/check.log" 2>&1 || {
	cat "$folder/check.log"
	exit 1
}

echo "== packets"
now="strftime('%Y-%m-%d %H:%M:%f000', 'now')"
first="x'00000000000000000000ffffc6336408'"
cat "$(dirname "$0")"/../../sql/sqlite/*.sql - <<EOF | sqlite3 "$folder/leases.db"
INSERT INTO ip_pool_pools (name, created_at, updated_at) VALUES ('main', $now, $now), ('tiny', $now, $now);
INSERT INTO ip_pool_ranges (pool_id, address_space, first_address, last_address, first_key, last_key, next_key, created_at)
VALUES (1, 'default', '198.51.100.8', '198.51.100.71', $first, x'00000000000000000000ffffc6336447', $first, $now);
EOF
valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--suppressions="$folder/suppressions" "$server" -d "$folder" -f -m -l "$folder/radius.log" >"$folder/run.log" 2>&1 &
pid=$!
for _ in $(seq 1 120); do
	grep -q "Ready to process requests" "$folder/radius.log" 2>/dev/null && break
	sleep 0.5
done
for number in $(seq 1 20); do
	kill -0 "$pid" || break
	echo "User-Name = user$number, NAS-Identifier = n, Acct-Session-Id = s$number, NAS-Port = $((number % 10)), Calling-Station-Id = AA:BB:CC:DD:EE:$((number + 10))" |
		radclient -t 5 -r 1 "127.0.0.1:$auth" auth testing123 >>"$folder/answers" 2>&1 || :
	for status in Start Interim-Update Stop; do
		echo "User-Name = user$number, NAS-Identifier = n, Acct-Session-Id = s$number, Acct-Status-Type = $status, Framed-IP-Address = 198.51.100.$((number + 7))" |
			radclient -t 5 -r 1 "127.0.0.1:$acct" acct testing123 >>"$folder/answers" 2>&1 || :
	done
done
grep -c "Received" "$folder/answers" || :
grep -c "Access-Accept" "$folder/answers" || :
kill -TERM "$pid"
if wait "$pid"; then status=0; else status=$?; fi
pid=
if [ "$status" -ne 0 ]; then
	cat "$folder/run.log"
	tail -n 20 "$folder/radius.log"
	echo "valgrind or radiusd ended with $status"
	exit 1
fi
echo "clean"
