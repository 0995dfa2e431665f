//! The Class attribute (RFC 2865 §5.25) by which a NAS gives a lease's fence back to us in accounting.

use core::fmt;

/// `ipr1:<id>:<epoch>:<token>`: the row, the count of its grants, and 64 random bits of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// `ip_pool_assignments.id`.
    pub id: i64,
    /// The epoch that this grant raised the row to.
    pub epoch: i64,
    /// 64 random bits, drawn for this grant alone.
    pub token: i64,
}

impl Class {
    /// Reads one Class value. `None`: it is not ours, which is nothing wrong; other servers and modules set Class too.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = core::str::from_utf8(value).ok()?.strip_prefix("ipr1:")?.split(':');
        let id = parts.next()?.parse().ok()?;
        let epoch = parts.next()?.parse().ok()?;
        let token = parts.next().filter(|token| token.len() == 16)?;
        let token = u64::from_str_radix(token, 16).ok()?.cast_signed();
        parts.next().is_none().then_some(Self { id, epoch, token })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ipr1:{}:{}:{:016x}", self.id, self.epoch, self.token.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_class_comes_back_as_it_went_out(id in any::<i64>(), epoch in any::<i64>(), token in any::<i64>()) {
            let class = Class { id, epoch, token };
            prop_assert_eq!(Class::parse(class.to_string().as_bytes()), Some(class));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Class::parse(&bytes);
        }
    }

    #[test]
    fn what_others_put_into_class_is_not_ours() {
        for value in
            ["", "ipr1:", "ipr1:1:2:3", "ipr2:1:2:0000000000000003", "ipr1:1:2:0000000000000003:4", "OU=gold"]
        {
            assert_eq!(Class::parse(value.as_bytes()), None, "{value}");
        }
    }
}
