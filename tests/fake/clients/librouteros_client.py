"""librouteros against the fake router: API TLS OLD NAMES CERTIFICATE, four ports and a file."""

import ssl
import sys

from librouteros import connect
from librouteros.exceptions import FatalError, LibRouterosError, TrapError
from librouteros.login import plain, token
from librouteros.query import And, Key, Or

api_port, tls_port, old_port, names_port = map(int, sys.argv[1:5])


def admin(port, **options):
    return connect("127.0.0.1", "admin", "secret", port=port, **options)


def raises(kind, text, call):
    try:
        call()
    except kind as error:
        assert text in str(error), (text, error)
    else:
        raise AssertionError(f"no error: {text}")


# Both logins, and what is refused.
api = admin(api_port, login_method=plain)
old = admin(old_port, login_method=token)
assert tuple(old("/system/identity/print")) == ({"name": "old"},)
wrong = lambda port, method: connect("127.0.0.1", "admin", "wrong", port=port, login_method=method)
raises(TrapError, "invalid user name or password (6)", lambda: wrong(api_port, plain))
raises(TrapError, "cannot log in", lambda: wrong(old_port, token))
raises(TrapError, "invalid user name or password (6)", lambda: admin(api_port, login_method=token))
# It takes a challenge for a login; the router does not.
half = admin(old_port, login_method=plain)
raises(FatalError, "not logged in", lambda: tuple(half("/ip/pool/print")))

# Lists, proplists, queries.
name, service, radius = Key("name"), Key("service"), Key("radius")
active = api.path("ppp", "active")
assert [row["name"] for row in active] == ["alice", "bob", "local", "early"]
assert list(active.select(name).where(And(service == "pppoe", radius == "true"))) == [
    {"name": "alice"},
    {"name": "early"},
]
assert list(active.select(name).where(Or(name == "alice", name == "bob"))) == [{"name": "alice"}, {"name": "bob"}]
assert list(active.select(name).where(name == "nobody")) == []
assert list(api.rawCmd("/ppp/active/print", "=count-only=", "?radius=true")) == [{"ret": 3}]
pools = {row["name"]: row for row in api.path("ip", "pool")}
assert (pools["main"]["total"], pools["main"]["next-pool"]) == (509, "spare"), pools
assert "total" not in tuple(old("/ip/pool/print"))[0]

# A pool comes and goes; mistakes are traps, and the connection goes on.
pool = api.path("ip", "pool")
new = pool.add(name="third", ranges="10.7.0.1-10.7.0.9")
assert new.startswith("*"), new
raises(TrapError, "pool with such name exists", lambda: pool.add(name="third", ranges="10.7.0.1"))
raises(TrapError, "missing =ranges=", lambda: pool.add(name="fourth"))
pool.update(**{".id": new, "ranges": "10.7.0.1"})
assert [row["total"] for row in pool if row["name"] == "third"] == [1]
pool.remove(new)
raises(TrapError, "no such item", lambda: pool.remove(new))
raises(TrapError, "no such command or directory", lambda: tuple(api("/ip/pol/print")))
assert len(list(pool)) == 2

# Names are bytes.
names = admin(names_port, encoding="cp1252")
assert [row["name"] for row in names.path("ip", "pool")][0] == "caf\u00e9"

# A word of 256 bytes, and one of 20 kB.
long = ",".join(f"10.8.{n // 250}.{n % 250}" for n in range(2000))
for text in ("x" * (256 - len("=comment=")), long):
    new = pool.add(name="long", ranges=long, comment=text)
    assert [row["comment"] for row in pool if row["name"] == "long"] == [text]
    pool.remove(new)

# TLS, with the certificate as its own authority.
context = ssl.create_default_context(cafile=sys.argv[5])
wrap = lambda sock: context.wrap_socket(sock, server_hostname="127.0.0.1")
secure = admin(tls_port, ssl_wrapper=wrap)
assert tuple(secure("/system/identity/print")) == ({"name": "north"},)

raises(LibRouterosError, "session terminated on request", lambda: tuple(secure("/quit")))
