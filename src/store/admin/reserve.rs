//! `lease reserve` and `unreserve`: an address is kept for somebody, or from everybody, and no longer.

use ipnet::IpNet;

use super::words::Words;
use super::{Admin, AdminError, LeaseRow, Pool};
use crate::lease::range;
use crate::store::link::{Link, Value};
use crate::store::{StoreError, address_text};

/// For whom an address is kept. Neither: for nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whom {
    /// This owner, as stored.
    pub owner: Option<String>,
    /// This device, in the one spelling.
    pub station: Option<String>,
}

/// `ip_pool_assignments.reserved_for` of what nobody shall have: no name in its stored form is like it.
const NOBODY: &str = "=nobody: an administrator";

/// `alice`, `alice with 00:11:22:33:44:55`, `nobody`.
impl core::fmt::Display for Whom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let nobody = |owner: &String| owner.strip_prefix("=nobody: ").map(|why| format!("nobody ({why})"));
        match (&self.owner, &self.station) {
            (None, None) => f.write_str("nobody"),
            (Some(owner), None) => f.write_str(nobody(owner).as_ref().unwrap_or(owner)),
            (None, Some(station)) => write!(f, "the device {station}"),
            (Some(owner), Some(station)) => write!(f, "{owner} with the device {station}"),
        }
    }
}

impl Whom {
    fn columns(&self) -> [Value; 2] {
        let nobody = self.owner.is_none() && self.station.is_none();
        let owner = self.owner.clone().or_else(|| nobody.then(|| NOBODY.to_owned()));
        [Value::Text(owner), Value::Text(self.station.clone())]
    }
}

impl Admin {
    /// Keeps an address, or prefix, of a pool. Who holds it keeps it until his lease ends. `expected`: only if the row still is
    /// at this epoch. False: it is kept for the same already.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] if it is kept for somebody else, or not at that epoch any more.
    pub fn keep_for(
        &mut self,
        pool: &Pool,
        address: &IpNet,
        whom: &Whom,
        expected: Option<i64>,
        keep: bool,
    ) -> Result<bool, AdminError> {
        self.link.transaction(keep, |link| {
            make_row(link, pool, address)?;
            let words = Words::of(link);
            let now = words.now;
            let place = format!("address_space = ? AND ip_address = {}", words.address_value);
            let mut values = whom.columns().to_vec();
            values.extend([pool.address_space.as_str().into(), address_text(address).into(), pool.id.into()]);
            let epoch = expected.map_or("", |_| " AND epoch = ?");
            values.extend(expected.map(Value::from));
            let changed = link.execute(
                &format!(
                    "UPDATE ip_pool_assignments SET reserved_for = ?, reserved_station = ?, reserved_by = NULL, \
                     source = CASE WHEN status = 'in_use' THEN source ELSE 'admin' END, \
                     status = CASE WHEN status = 'in_use' THEN 'in_use' ELSE 'reserved' END, updated_at = {now} \
                     WHERE {place} AND pool_id = ? AND reserved_for IS NULL AND reserved_station IS NULL \
                     AND status <> 'reserved'{epoch}"
                ),
                values,
            )?;
            if changed == 0 {
                return same(link, pool, address, whom);
            }
            note(link, &place, pool, address, whom.owner.as_deref(), &format!("for {whom}"))?;
            Ok(true)
        })
    }

    /// Gives kept addresses back to their pools: all, or none.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] with the one that is not kept any more.
    pub fn unkeep(&mut self, kept: &[LeaseRow], keep: bool) -> Result<(), AdminError> {
        self.link.transaction(keep, |link| {
            let now = Words::of(link).now;
            for row in kept {
                let changed = link.execute(
                    &format!(
                        "UPDATE ip_pool_assignments SET reserved_for = NULL, reserved_station = NULL, reserved_by = NULL, \
                         status = CASE WHEN status = 'reserved' THEN 'available' ELSE status END, updated_at = {now} \
                         WHERE id = ? AND (status = 'reserved' OR reserved_for IS NOT NULL OR reserved_station IS NOT NULL)"
                    ),
                    vec![row.id.into()],
                )?;
                if changed == 0 {
                    return Err(AdminError::Refused(format!(
                        "{} was given back at this moment, so nothing was changed: look again with `ippool-rs lease show {0}`",
                        row.ip_address
                    )));
                }
                event(link, "id = ?", vec![row.id.into()], row.reserved_for.as_deref(), "given back")?;
            }
            Ok(())
        })
    }
}

/// The row of the address, if it is not there.
fn make_row(link: &mut Link, pool: &Pool, address: &IpNet) -> Result<(), StoreError> {
    let words = Words::of(link);
    let now = words.now;
    let mut values: Vec<Value> = vec![address_text(address).into()];
    let (column, mark) = if link.is_postgres() { ("", "") } else { ("ip_key, ", "?, ") };
    if !link.is_postgres() {
        values.push(range::key(address.addr()).into());
    }
    values.extend([pool.unit.attribute().into(), pool.id.into()]);
    let sql = format!(
        "INSERT INTO ip_pool_assignments (ip_address, {column}attribute, pool_name, nas_id, address_space, pool_id, ordered, \
         created_at, updated_at) SELECT {value}, {mark}?, p.name, p.nas_id, p.address_space, p.id, p.strategy <> 'lru', \
         {now}, {now} FROM ip_pool_pools p WHERE p.id = ? ON CONFLICT (address_space, ip_address) DO NOTHING",
        value = words.address_value,
    );
    link.execute(&sql, values).map(drop)
}

/// Whom it is kept for already: false, if for the same.
fn same(link: &mut Link, pool: &Pool, address: &IpNet, whom: &Whom) -> Result<bool, AdminError> {
    let filter = super::Filter {
        address: Some(*address),
        pool: Some(pool.name.clone()),
        show: super::Show::All,
        ..super::Filter::default()
    };
    let rows = super::find::leases(link, &filter)?;
    let address = address_text(address);
    let row = rows.into_iter().find(|row| row.address_space == pool.address_space);
    let refused = |sentence: String| Err(AdminError::Refused(sentence));
    let Some(row) = row else {
        return refused(format!("{address} is not of the pool {pool} any more: nothing was changed"));
    };
    let [owner, station] = whom.columns();
    let is = |value: &Value, text: &Option<String>| matches!(value, Value::Text(value) if value == text);
    if is(&owner, &row.reserved_for) && is(&station, &row.reserved_station) {
        return Ok(false);
    }
    if !row.is_reserved() {
        return refused(format!(
            "{address} was granted or released at this moment, so nothing was changed: try again"
        ));
    }
    refused(format!(
        "{address} is reserved for {} already, so nothing was changed; `ippool-rs lease unreserve {address}` gives it back first",
        row.kept_for()
    ))
}

fn note(
    link: &mut Link,
    place: &str,
    pool: &Pool,
    address: &IpNet,
    user: Option<&str>,
    detail: &str,
) -> Result<(), StoreError> {
    let values = vec![pool.address_space.as_str().into(), address_text(address).into()];
    event(link, place, values, user, detail)
}

fn event(
    link: &mut Link,
    place: &str,
    values: Vec<Value>,
    user: Option<&str>,
    detail: &str,
) -> Result<(), StoreError> {
    let now = Words::of(link).now;
    let user = user.filter(|user| !user.starts_with("=nobody")).map(str::to_owned);
    let mut all = vec![Value::Text(user), format!("{detail}, by an administrator").into()];
    all.extend(values);
    link.execute(
        &format!(
            "INSERT INTO ip_pool_events (at, kind, ip_address, address_space, pool_name, username, epoch, server, detail) \
             SELECT {now}, 'reservation', ip_address, address_space, pool_name, ?, epoch, 'companion', ? \
             FROM ip_pool_assignments WHERE {place}"
        ),
        all,
    )
    .map(drop)
}
