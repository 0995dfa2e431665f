//! The menus that the router has, field by field, in the order in which it shows them.

use super::super::value::Kind::{Address, Bool, Mac, Net, Net6, Number, Ranges, Text, Time};
use super::super::version::{EMPTY, Version};
use super::{ALL, Menu, V7, field, list, single};

pub const MENUS: &[Menu] = &[
    single(
        "/system/resource",
        &[
            field("uptime", Time).read_only(),
            field("version", Text).read_only(),
            field("free-memory", Number).read_only(),
            field("total-memory", Number).read_only(),
            field("cpu-count", Number).read_only(),
            field("cpu-load", Number).read_only(),
            field("architecture-name", Text).read_only(),
            field("board-name", Text).read_only(),
            field("platform", Text).read_only(),
        ],
    )
    .may(&[]),
    single("/system/identity", &[field("name", Text)]),
    single(
        "/system/clock",
        &[
            field("time", Text).read_only(),
            field("date", Text).read_only(),
            field("time-zone-autodetect", Bool),
            field("time-zone-name", Text),
            field("gmt-offset", Text).read_only(),
            field("dst-active", Bool).read_only(),
        ],
    ),
    list(
        "/ip/pool",
        &[
            field("name", Text),
            field("ranges", Ranges),
            field("next-pool", Text),
            field("comment", Text),
            field("total", Number).since(EMPTY).read_only(),
            field("used", Number).since(EMPTY).read_only(),
            field("available", Number).since(EMPTY).read_only(),
        ],
    )
    .may(ALL)
    .needs(&["name", "ranges"]),
    list(
        "/ip/pool/used",
        &[field("pool", Text), field("address", Address), field("owner", Text), field("info", Text)],
    ),
    list(
        "/ppp/active",
        &[
            field("name", Text),
            field("service", Text),
            field("caller-id", Text),
            field("address", Address),
            field("uptime", Time),
            field("encoding", Text),
            field("session-id", Text),
            field("limit-bytes-in", Number),
            field("limit-bytes-out", Number),
            field("radius", Bool),
            field("comment", Text),
        ],
    )
    .may(&["remove"]),
    list(
        "/ppp/profile",
        &[
            field("name", Text),
            field("default", Bool).read_only(),
            field("local-address", Text),
            field("remote-address", Text),
            field("remote-ipv6-prefix-pool", Text),
            field("dhcpv6-pd-pool", Text),
            field("bridge", Text),
            field("session-timeout", Time),
            field("idle-timeout", Time),
            field("only-one", Text),
            field("rate-limit", Text),
            field("address-list", Text),
            field("dns-server", Text),
            field("on-up", Text),
            field("on-down", Text),
            field("comment", Text),
        ],
    )
    .may(ALL)
    .needs(&["name"]),
    list(
        "/ppp/secret",
        &[
            field("name", Text),
            field("service", Text),
            field("caller-id", Text),
            field("password", Text).sensitive(),
            field("profile", Text),
            field("local-address", Text),
            field("remote-address", Text),
            field("routes", Text),
            field("limit-bytes-in", Number),
            field("limit-bytes-out", Number),
            field("last-logged-out", Text).read_only(),
            field("disabled", Bool),
            field("comment", Text),
        ],
    )
    .may(ALL)
    .needs(&["name"]),
    single(
        "/ppp/aaa",
        &[
            field("use-radius", Bool),
            field("accounting", Bool),
            field("interim-update", Time),
            field("use-circuit-id-in-nas-port-id", Bool).since(V7),
            field("enable-ipv6-accounting", Bool).since(V7),
        ],
    ),
    list(
        "/radius",
        &[
            field("service", Text),
            field("called-id", Text),
            field("domain", Text),
            field("address", Text),
            field("secret", Text).sensitive(),
            field("authentication-port", Number),
            field("accounting-port", Number),
            field("timeout", Time),
            field("accounting-backup", Bool),
            field("realm", Text),
            field("protocol", Text).since(V7),
            field("certificate", Text).since(V7),
            field("require-message-auth", Text).since(Version(7, 15)),
            field("src-address", Address),
            field("disabled", Bool),
            field("comment", Text),
        ],
    )
    .may(ALL)
    .needs(&["address"]),
    single("/radius/incoming", &[field("accept", Bool), field("port", Number), field("vrf", Text).since(V7)]),
    list(
        "/interface/pppoe-server/server",
        &[
            field("service-name", Text),
            field("interface", Text),
            field("max-mtu", Text),
            field("max-mru", Text),
            field("authentication", Text),
            field("keepalive-timeout", Text),
            field("one-session-per-host", Bool),
            field("max-sessions", Text),
            field("pado-delay", Number),
            field("default-profile", Text),
            field("accept-empty-service", Bool).since(Version(7, 17)),
            field("invalid", Bool).read_only(),
            field("disabled", Bool),
        ],
    )
    .may(ALL)
    .needs(&["interface"]),
    list(
        "/ip/address",
        &[
            field("address", Net),
            field("network", Address),
            field("interface", Text),
            field("actual-interface", Text).read_only(),
            field("invalid", Bool).read_only(),
            field("dynamic", Bool).read_only(),
            field("disabled", Bool),
            field("comment", Text),
        ],
    )
    .may(ALL)
    .needs(&["address", "interface"]),
    list(
        "/ip/dhcp-server",
        &[
            field("name", Text),
            field("interface", Text),
            field("lease-time", Time),
            field("address-pool", Text),
            field("authoritative", Text),
            field("use-radius", Text),
            field("dynamic", Bool).read_only(),
            field("invalid", Bool).read_only(),
            field("disabled", Bool),
            field("comment", Text).since(V7),
        ],
    ),
    list(
        "/ip/dhcp-server/lease",
        &[
            field("address", Text),
            field("mac-address", Mac),
            field("client-id", Text),
            field("server", Text),
            field("status", Text).read_only(),
            field("expires-after", Time).read_only(),
            field("last-seen", Time).read_only(),
            field("active-address", Address).read_only(),
            field("active-mac-address", Mac).read_only(),
            field("active-client-id", Text).read_only(),
            field("active-server", Text).read_only(),
            field("host-name", Text).read_only(),
            field("radius", Bool).read_only(),
            field("dynamic", Bool).read_only(),
            field("blocked", Bool).read_only(),
            field("disabled", Bool),
            field("comment", Text),
        ],
    ),
    list(
        "/ip/hotspot/active",
        &[
            field("server", Text),
            field("user", Text),
            field("domain", Text),
            field("address", Address),
            field("mac-address", Mac),
            field("login-by", Text),
            field("uptime", Time),
            field("idle-time", Time),
            field("session-id", Text),
            field("radius", Bool),
            field("comment", Text),
        ],
    )
    .may(&["remove"]),
    list(
        "/ipv6/pool",
        &[
            field("name", Text),
            field("prefix", Net6),
            field("from-pool", Text).since(Version(7, 2)),
            field("prefix-length", Number),
            field("expire-time", Time).until(V7).read_only(),
            field("preferred-lifetime", Time).since(V7).read_only(),
            field("valid-lifetime", Time).since(V7).read_only(),
            field("dynamic", Bool).read_only(),
            field("comment", Text).since(V7),
        ],
    )
    .may(ALL)
    .needs(&["name", "prefix", "prefix-length"]),
    list(
        "/ipv6/pool/used",
        &[field("pool", Text), field("prefix", Net6), field("owner", Text), field("info", Text)],
    ),
    list(
        "/ipv6/dhcp-server/binding",
        &[
            field("address", Net6),
            field("duid", Text),
            field("iaid", Number),
            field("ia-type", Text).since(V7),
            field("server", Text),
            field("client-address", Text),
            field("prefix-pool", Text),
            field("status", Text).read_only(),
            field("expires-after", Time).read_only(),
            field("last-seen", Time).read_only(),
            field("radius", Bool).read_only(),
            field("dynamic", Bool).read_only(),
            field("disabled", Bool),
            field("comment", Text),
        ],
    ),
    list(
        "/ip/dhcp-server/network",
        &[
            field("address", Net),
            field("gateway", Text),
            field("netmask", Text),
            field("dns-server", Text),
            field("domain", Text),
            field("comment", Text),
        ],
    ),
    list(
        "/interface/pppoe-server",
        &[
            field("name", Text),
            field("user", Text),
            field("service", Text),
            field("remote-address", Mac),
            field("uptime", Time).read_only(),
            field("mtu", Number).read_only(),
            field("interface", Text).read_only(),
            field("dynamic", Bool).read_only(),
            field("running", Bool).read_only(),
            field("disabled", Bool),
        ],
    ),
    list(
        "/interface",
        &[
            field("name", Text),
            field("default-name", Text),
            field("type", Text).read_only(),
            field("mtu", Text),
            field("mac-address", Mac),
            field("rx-byte", Number).read_only(),
            field("tx-byte", Number).read_only(),
            field("rx-packet", Number).read_only(),
            field("tx-packet", Number).read_only(),
            field("running", Bool).read_only(),
            field("dynamic", Bool).read_only(),
            field("disabled", Bool),
            field("comment", Text),
        ],
    ),
];
