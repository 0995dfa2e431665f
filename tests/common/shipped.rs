//! What the distribution's FreeRADIUS has: schemas and queries of its SQL modules, the modules that it enables. And our own sites.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

/// A file of `mods-config/sql`.
pub fn shipped(name: &str) -> String {
    of_raddb(&format!("mods-config/sql/{name}"))
}

/// The policy `acct_unique`, as `policy.d/accounting` has it: what rlm_sql tells sessions by.
pub fn policies() -> String {
    format!("policy {{\n{}\n}}\n", of_raddb("policy.d/accounting"))
}

fn of_raddb(name: &str) -> String {
    let mut places: Vec<PathBuf> = std::env::var_os("RADDB").map(PathBuf::from).into_iter().collect();
    places.extend(["/etc/freeradius/3.0", "/etc/freeradius", "/etc/raddb"].map(PathBuf::from));
    let path = places.iter().map(|place| place.join(name)).find(|p| Path::is_file(p));
    let path = path.unwrap_or_else(|| {
        panic!("no {name} of FreeRADIUS found: set RADDB, or run with the right to read it")
    });
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The modules that a distribution enables by default, as far as the shipped sites need them.
pub const OTHERS: &str = "\tpreprocess {\n\t}\n\tpap {\n\t}\n\tchap {\n\t}\n\tmschap {\n\t}\n\
    \tfiles {\n\t\tfilename = \"${confdir}/users\"\n\t}\n\
    \tattr_filter attr_filter.access_reject {\n\t\tkey = \"%{User-Name}\"\n\t\tfilename = \"${confdir}/access_reject\"\n\t}\n";

/// rlm_sql with the distribution's tables and its `main/DIALECT/queries.conf`, which the folder has as `queries.conf`. `connection`: the
/// lines that lead to the database; `threads`: connections.
pub fn rlm_sql(dialect: &str, connection: &str, threads: u32) -> String {
    format!(
        "\tsql {{
		driver = \"rlm_sql_{dialect}\"
		dialect = \"{dialect}\"
{connection}		acct_table1 = \"radacct\"
		acct_table2 = \"radacct\"
		client_table = \"nas\"
		authcheck_table = \"radcheck\"
		authreply_table = \"radreply\"
		groupcheck_table = \"radgroupcheck\"
		groupreply_table = \"radgroupreply\"
		usergroup_table = \"radusergroup\"
		postauth_table = \"radpostauth\"
		group_attribute = \"SQL-Group\"
		sql_user_name = \"%{{User-Name}}\"
		read_clients = no
		pool {{\n\t\t\tstart = 1\n\t\t\tmin = 1\n\t\t\tmax = {threads}\n\t\t\tspare = 0\n\t\t}}
		$INCLUDE ${{confdir}}/queries.conf
	}}\n"
    )
}

/// A shipped site, on two free ports instead of 1812 and 1813.
pub fn listening(site: &str) -> (String, SocketAddr, SocketAddr) {
    let taken = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let [auth, acct] = taken.map(|socket| socket.local_addr().expect("a bound socket"));
    let port = |address: SocketAddr| format!("port = {}", address.port());
    (site.replace("port = 1812", &port(auth)).replace("port = 1813", &port(acct)), auth, acct)
}

/// A shipped site of DHCP, on a free port of 127.0.0.1 instead of 67. What clients are told who speak to it directly goes to `relay`: their
/// own addresses lead nowhere.
pub fn listening_for_dhcp(site: &str, relay: Ipv4Addr) -> (String, SocketAddr) {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port").local_addr().expect("a bound socket");
    let call =
        format!("\t\tupdate reply {{\n\t\t\t&DHCP-Relay-IP-Address = {relay}\n\t\t}}\n\t\tippool_rs\n");
    let site = site
        .replace("port = 67", &format!("port = {}", taken.port()))
        .replace("ipaddr = *", "ipaddr = 127.0.0.1");
    (site.replace("\t\tippool_rs\n", &call), taken)
}

/// A file of a site in `examples/sites`.
pub fn of_site(site: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sites").join(site).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}
