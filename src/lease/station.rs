//! The station: which device a session came from.
//!
//! Only what proves a device counts: a MAC address in Calling-Station-Id, or the physical port of a NAS. A telephone
//! number or the client's IP address (L2TP, PPTP) proves nothing.

/// `AA:BB:CC:DD:EE:FF` if `text` is a MAC address in one of its usual spellings (with `:`, `-`, `.`, or none; an SSID
/// behind it, as RFC 3580 §3.21 has it for Called-Station-Id, is not accepted).
#[must_use]
pub fn mac_address(text: &[u8]) -> Option<String> {
    let mut digits = [0; 12];
    let (mut count, mut separators) = (0, 0);
    for &byte in text {
        match byte {
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => {
                *digits.get_mut(count)? = byte.to_ascii_uppercase();
                count += 1;
            }
            b':' | b'-' | b'.' if count > 0 && count < digits.len() => separators += 1,
            _ => return None,
        }
    }
    let spelled = match text.len() {
        12 => separators == 0,
        14 => separators == 2,
        17 => separators == 5,
        _ => false,
    };
    if count != digits.len() || !spelled {
        return None;
    }
    // Twelve decimal digits without a separator may as well be a telephone number.
    if separators == 0 && digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut out = String::with_capacity(17);
    for (index, pair) in digits.chunks_exact(2).enumerate() {
        if index > 0 {
            out.push(':');
        }
        out.push(char::from(pair[0]));
        out.push(char::from(pair[1]));
    }
    // Devices without an address of their own send these: they prove nothing.
    (out != "00:00:00:00:00:00" && out != "FF:FF:FF:FF:FF:FF").then_some(out)
}

/// The station of a request: its MAC address, else the physical port (`port <NAS-Port-Id>@<NAS>`), else none.
///
/// `port_type` is NAS-Port-Type (RFC 2865 §5.41); only Async (0), Sync (1), ISDN (2–4), Ethernet (15), xDSL (11–14, 16)
/// and Cable (17) name a port that one device hangs on. Virtual (5) and everything wireless do not.
#[must_use]
pub fn station_of(
    calling_station_id: Option<&[u8]>,
    nas: &str,
    port_id: Option<&str>,
    port_type: Option<u32>,
) -> Option<String> {
    if let Some(mac) = calling_station_id.and_then(mac_address) {
        return Some(mac);
    }
    // Somebody named, but not by a device: the port is then shared by whoever dials in.
    if calling_station_id.is_some_and(|text| !text.is_empty()) {
        return None;
    }
    match (port_id, port_type) {
        (Some(port), Some(0..=4 | 11..=17)) if !port.is_empty() => Some(format!("port {port}@{nas}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_has_one_spelling() {
        for spelling in ["aa-bb-cc-0d-ee-ff", "AA:BB:CC:0D:EE:FF", "aabb.cc0d.eeff", "AABBCC0DEEFF"] {
            assert_eq!(mac_address(spelling.as_bytes()).as_deref(), Some("AA:BB:CC:0D:EE:FF"), "{spelling}");
        }
    }

    #[test]
    fn what_is_no_mac_address_proves_no_station() {
        for text in [
            "",
            "192.0.2.1",
            "004930123456",
            "aabbccddeef",
            "aabbccddeeff00",
            "::::::::::aabbccddeeff",
            "00:00:00:00:00:00",
        ] {
            assert_eq!(mac_address(text.as_bytes()), None, "{text}");
        }
        assert_eq!(station_of(Some(b"10.1.2.3"), "n", Some("ether1"), Some(15)), None);
        assert_eq!(station_of(None, "n", Some("pptp-in1"), Some(5)), None);
        assert_eq!(station_of(None, "n", Some("slot 3"), Some(15)).as_deref(), Some("port slot 3@n"));
    }
}
