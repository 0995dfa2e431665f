#!/bin/bash
# The rules of the house that no compiler knows: which room may use which, where SQL and unsafe code may stand, what may be linked into
# the module, and under which licences. ARCHITECTURE.md has the reasons. Ends with 1 if one is broken, and says which.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
break_rule() { # what is wrong; where, on standard input: nowhere is well
	local where
	where=$(cat)
	if [ -n "$where" ]; then
		printf 'rule broken: %s\n%s\n' "$1" "$where" | tee -a "$work/broken" >&2
	fi
}
# Code without its comments, as file:line:text.
code() { grep -rn --include='*.rs' '' "$@" | grep -vE '^[^:]+:[0-9]+:[[:space:]]*//' || true; }

code src | grep -v '^src/ffi/' | grep -E '\bunsafe\b' | grep -v 'unsafe_code' | break_rule "unsafe code outside src/ffi"
code src | grep -v '^src/store/' | grep -E '\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|ALTER TABLE)\b' |
	break_rule "SQL outside src/store"
code src | grep -v '^src/store/' | grep -E '\bdiesel::' | break_rule "Diesel outside src/store"

# room, and the rooms that it may use.
while read -r room may; do
	code "src/$room" | grep -E '\bcrate::(choose|companion|engine|ffi|import|judge|lease|module|routeros_api|store)\b' |
		grep -vE "\bcrate::(${may})\b" | break_rule "src/$room uses a room that it must not know"
done <<'ROOMS'
lease lease
choose choose|lease|engine::(How|\{?Accounted|\{?Contest|\{?Denial|Undo)
engine engine|lease|choose|store
store store|lease
module module|lease|engine|store::(DatabaseUrl|StoreError)
ffi ffi|module|lease|engine
routeros_api routeros_api
judge judge|lease|routeros_api::Complete
import import|lease
companion choose::(foresee|Circumstances|\{)|companion|import|judge|lease|routeros_api|store
ROOMS

# What the documentation claims is proven by tests that exist.
{
	sed -n '/^## Promises/,/^## /p' README.md
	awk -F'|' '/^\| [SPN][0-9]*-/ { print $5 }' docs/features.md
} | grep -oE '`[a-z][a-z0-9]*(_[a-z0-9]+){2,}`' | tr -d '`' | grep -v '^ip_pool_' | sort -u | while read -r name; do
	grep -rqE "fn $name\b" src tests || echo "$name"
done | break_rule "a test that the documentation names does not exist"

# What is linked into the module: no command line, no configuration formats, no other runtime.
cargo tree --locked --no-default-features --features module,sqlite,postgres -e normal --prefix none -f '{p}' >"$work/linked"
grep -E '^(clap|comfy-table|serde|serde_json|toml|tokio|hyper|axum|rustls|ring|encoding_rs|openssl|native-tls|bindgen)[a-z_-]* ' "$work/linked" | sort -u |
	break_rule "the module's dependencies hold what only the companion may have"

# Licences: `A OR B` needs one that is allowed, `A AND B` both.
licences() { # licences SECTION: the words of a list of deny.toml
	sed -n "/^$1 = \[/,/^\]/s/^[[:space:]]*\"\(.*\)\",*\$/\1/p" deny.toml
}
[ -n "$(licences allow)" ] || { echo "deny.toml has no list of licences" >&2; exit 1; }
exceptions=$(sed -n '/^exceptions = \[/,/^\]/s/.*crate = "\([^"]*\)".*/\1/p' deny.toml | tr '\n' ' ')
check() { # lines of licence|crate
	awk -F'|' -v allowed="$(licences allow | tr '\n' ' ')" -v exceptions="$exceptions" '
		BEGIN { n = split(allowed, a, " "); for (i = 1; i <= n; i++) ok[a[i]] = 1; m = split(exceptions, e, " "); for (i = 1; i <= m; i++) free[e[i]] = 1 }
		{
			split($2, name, " ")
			if (name[1] in free) next
			text = $1; sub(/ \(\*\)$/, "", text); gsub(/[()]/, "", text); gsub(/ *\/ */, " OR ", text)
			count = split(text, parts, / AND /)
			for (p = 1; p <= count; p++) {
				found = 0; words = split(parts[p], one, / OR /)
				for (w = 1; w <= words; w++) if (one[w] in ok) found = 1
				if (!found) { print $2 ": " $1; break }
			}
		}' | sort -u
}
if cargo deny --version >/dev/null 2>&1; then
	cargo deny check licenses bans sources || echo "cargo deny" | break_rule "deny.toml"
else
	cargo tree --locked -e normal,build,dev --prefix none -f '{l}|{p}' >"$work/all"
	check <"$work/all" | break_rule "a licence that deny.toml does not allow"
fi
# No exception holds for what is linked into the module.
exceptions=
cargo tree --locked --no-default-features --features module,sqlite,postgres -e normal --prefix none -f '{l}|{p}' >"$work/all"
check <"$work/all" | break_rule "a licence that must not be linked into the module"

if [ -e "$work/broken" ]; then
	exit 1
fi
echo "all rules kept"
