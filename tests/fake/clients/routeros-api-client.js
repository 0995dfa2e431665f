// routeros-api against the fake router: API TLS OLD NAMES CERTIFICATE, four ports and a file. Its tags are random.
const assert = require("assert");
const fs = require("fs");
const { RouterOSAPI } = require("routeros-api");

const [apiPort, tlsPort, oldPort, namesPort] = process.argv.slice(2, 6).map(Number);
const certificate = fs.readFileSync(process.argv[6]);

async function connect(port, password = "secret", tls = undefined) {
  const client = new RouterOSAPI({ host: "127.0.0.1", user: "admin", password, port, tls, timeout: 10 });
  await client.connect();
  return client;
}

const says = (text) => (error) => {
  assert.ok(`${error.errno} ${error.message}`.includes(text), `${text}: ${error.errno} ${error.message}`);
  return true;
};
const column = (rows, name) => rows.map((row) => row[name]);

async function main() {
  // Both logins, each by the same way.
  const api = await connect(apiPort);
  const old = await connect(oldPort);
  assert.deepEqual(await old.write("/system/identity/print"), [{ name: "old" }]);
  await assert.rejects(connect(apiPort, "wrong"), says("CANTLOGIN"));
  await assert.rejects(connect(oldPort, "wrong"), says("CANTLOGIN"));

  // Lists, proplists, queries; several at a time.
  const proplist = "=.proplist=name";
  const [all, some, nobody] = await Promise.all([
    api.write("/ppp/active/print"),
    api.write("/ppp/active/print", [proplist, "?service=pppoe", "?radius=true", "?#&"]),
    api.write("/ppp/active/print", [proplist, "?name=nobody"]),
  ]);
  assert.deepEqual(column(all, "name"), ["alice", "bob", "local", "early"]);
  assert.deepEqual(some, [{ name: "alice" }, { name: "early" }]);
  assert.deepEqual(nobody, []);
  assert.deepEqual(await api.write("/ppp/active/print", ["=count-only="]), [{ ret: "4" }]);

  // A pool comes and goes.
  const [{ ret }] = await api.write("/ip/pool/add", ["=name=third", "=ranges=10.7.0.1-10.7.0.9"]);
  await assert.rejects(
    api.write("/ip/pool/add", ["=name=third", "=ranges=10.7.0.1"]),
    says("pool with such name exists"),
  );
  const third = await api.write("/ip/pool/print", [`?.id=${ret}`]);
  assert.deepEqual(column(third, "total"), ["9"]);
  await api.write("/ip/pool/remove", [`=.id=${ret}`]);
  await assert.rejects(api.write("/ip/pool/remove", [`=.id=${ret}`]), says("no such item"));
  assert.equal((await api.write("/ip/pool/print")).length, 2);

  // It reads names as Windows-1252.
  const names = await connect(namesPort);
  assert.equal((await names.write("/ip/pool/print"))[0].name, "caf\u00e9");

  const secure = await connect(tlsPort, "secret", { ca: certificate });
  assert.deepEqual(await secure.write("/system/identity/print"), [{ name: "north" }]);
  for (const client of [api, old, names, secure]) {
    await client.close();
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
