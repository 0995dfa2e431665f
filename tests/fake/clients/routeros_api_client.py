"""RouterOS-api against the fake router: API TLS OLD NAMES CERTIFICATE, four ports and a file. It tags every command."""

import ssl
import sys

import routeros_api
from routeros_api.exceptions import RouterOsApiCommunicationError, RouterOsApiError

api_port, tls_port, old_port, names_port = map(int, sys.argv[1:5])


def connect(port, password="secret", plaintext_login=True, **options):
    return routeros_api.connect(
        "127.0.0.1", "admin", password, port=port, plaintext_login=plaintext_login, **options
    )


def raises(text, call, kind=RouterOsApiCommunicationError):
    try:
        call()
    except kind as error:
        assert text in str(error), (text, error)
    else:
        raise AssertionError(f"no error: {text}")


# Both logins; the password first is answered with a challenge by an old router, and taken up.
api = connect(api_port)
for plain in (True, False):
    old = connect(old_port, plaintext_login=plain)
    assert old.get_resource("/system/identity").get() == [{"name": "old"}]
raises("invalid user name or password (6)", lambda: connect(api_port, "wrong"))
raises("invalid user name or password (6)", lambda: connect(api_port, plaintext_login=False))
raises("cannot log in", lambda: connect(old_port, "wrong"))

# Lists, proplists, queries.
active = api.get_resource("/ppp/active")
assert [row["name"] for row in active.get()] == ["alice", "bob", "local", "early"]
assert [row["address"] for row in active.get(name="bob")] == ["10.0.0.3"]
assert active.get(name="nobody") == []
some = active.call("print", {".proplist": "name,radius"}, {"service": "pppoe", "radius": "false"})
assert some == [{"name": "local", "radius": "false"}], some
assert active.call("print", {"count-only": ""}).done_message == {"ret": "4"}

# Two commands in flight; the answers are told apart by their tags.
first, second = active.get_async(), api.get_resource("/ip/pool").get_async()
assert [row["name"] for row in second.get()] == ["main", "spare"]
assert len(first.get()) == 4

# A pool comes and goes.
pool = api.get_resource("/ip/pool")
new = pool.add(name="third", ranges="10.7.0.1-10.7.0.9").done_message["ret"]
raises("pool with such name exists", lambda: pool.add(name="third", ranges="10.7.0.1"))
pool.set(id=new, ranges="10.7.0.1")
assert [row["total"] for row in pool.get(id=new)] == ["1"]
pool.remove(id=new)
raises("no such item", lambda: pool.remove(id=new))
assert len(pool.get()) == 2

# Bytes as they are.
names = connect(names_port).get_binary_resource("/ip/pool").get()
assert names[0]["name"] == b"caf\xe9", names

context = ssl.create_default_context(cafile=sys.argv[5])
secure = connect(tls_port, ssl_context=context)
assert secure.get_resource("/system/identity").get() == [{"name": "north"}]

# The end of the connection has no tag.
raises("", lambda: secure.get_resource("/").call("quit"), RouterOsApiError)
