//! Servers of tunnels: what decides the profile of their sessions. PPPoE's is in `ppp`, for it has many.

use super::super::Text;
use super::super::row::menu;

/// A server of one kind. Its menu has one row; that of OpenVPN has several since 7.17, each with a name.
macro_rules! server {
    ($name:ident at $path:literal, $what:literal) => {
        menu! {
            #[doc = $what]
            $name at $path {
                /// Its name, where there may be several.
                name: Option<Text> = "name",
                /// Whether it is switched on.
                enabled: Option<bool> = "enabled",
                /// Whether it is switched off, where there may be several.
                disabled: Option<bool> = "disabled",
                /// The profile of its sessions.
                default_profile: Option<Text> = "default-profile",
            }
        }
    };
}

server!(PptpServer at "/interface/pptp-server/server", "The PPTP server.");
server!(L2tpServer at "/interface/l2tp-server/server", "The L2TP server.");
server!(SstpServer at "/interface/sstp-server/server", "The SSTP server.");
server!(OvpnServer at "/interface/ovpn-server/server", "The OpenVPN server, or one of them.");
