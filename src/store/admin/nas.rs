//! `nas list`, `nas set`: the concentrators, as heard and as completed by people.

use diesel::sql_types::{BigInt, Nullable, Text};

use super::words::Words;
use super::{Admin, AdminError, pool_add, raise_catalogue};
use crate::lease::Time;
use crate::store::StoreError;
use crate::store::link::{Link, Value};

/// A row of `ip_pool_nas`, and what hangs on it.
#[derive(Clone, Debug, diesel::QueryableByName)]
#[allow(missing_docs)] // the columns of the table
pub struct Nas {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub nas_key: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub kind: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub mode: Option<String>,
    #[diesel(sql_type = Text)]
    pub address_space: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub nas_identifier: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub coa_address: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub coa_port: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub coa_source: Option<String>,
    #[diesel(sql_type = Text)]
    last_heard: String,
    #[diesel(sql_type = Nullable<Text>)]
    accounting: Option<String>,
    #[diesel(sql_type = Text)]
    now: String,
    /// How many pools are its own.
    #[diesel(sql_type = BigInt)]
    pub pools: i64,
    /// How many leases in use are on it.
    #[diesel(sql_type = BigInt)]
    pub leases: i64,
}

impl Nas {
    /// When radiusd last heard it; none: not yet.
    #[must_use]
    pub fn last_heard_at(&self) -> Option<Time> {
        Time::from_text(&self.last_heard).filter(|&at| at > Time::EPOCH)
    }

    /// When accounting last came from it.
    #[must_use]
    pub fn accounting_at(&self) -> Option<Time> {
        Time::from_text(self.accounting.as_deref()?)
    }

    /// The database's clock when it was read.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_text(&self.now).unwrap_or_default()
    }
}

/// What is to be set; `None`: left as it is. An empty text takes a value away.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // the columns of the table
pub struct NasChange {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub mode: Option<String>,
    pub address_space: Option<String>,
    pub nas_identifier: Option<String>,
    pub coa_address: Option<String>,
    pub coa_port: Option<i64>,
    pub coa_source: Option<String>,
}

impl Admin {
    /// All NASes by key, or the one with this key or name.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn nases(&mut self, which: Option<&str>) -> Result<Vec<Nas>, StoreError> {
        nases(&mut self.link, which)
    }

    /// Completes the NAS of this key, which is made if radiusd has not heard it yet. True: it was made. `keep` = no:
    /// tries, and undoes.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] if the name is another's, or its addresses are of another address space.
    pub fn set_nas(&mut self, key: &str, change: &NasChange, keep: bool) -> Result<bool, AdminError> {
        self.link.transaction(keep, |link| {
            let (row, made) = pool_add::nas(link, key)?;
            if let Some(name) = change.name.as_deref().filter(|name| !name.is_empty())
                && let Some(other) = nases(link, Some(name))?.into_iter().find(|other| other.id != row.id)
            {
                return Err(AdminError::Refused(format!(
                    "the NAS {} is called {name} already: give {key} another name, or make the two one with `ippool-rs nas \
                     merge {} {key}`",
                    other.nas_key, other.nas_key
                )));
            }
            if let Some(space) = change.address_space.as_deref().filter(|space| *space != row.address_space) {
                refuse_used(link, row.id, key, space, &row.address_space)?;
            }
            let texts = [
                ("name", &change.name),
                ("kind", &change.kind),
                ("mode", &change.mode),
                ("nas_identifier", &change.nas_identifier),
                ("coa_address", &change.coa_address),
                ("coa_source", &change.coa_source),
            ];
            let mut columns = vec![format!("updated_at = {}", Words::of(link).now)];
            let mut values: Vec<Value> = Vec::new();
            for (column, text) in texts {
                if let Some(text) = text {
                    columns.push(format!("{column} = ?"));
                    values.push(Value::Text(Some(text.clone()).filter(|text| !text.is_empty())));
                }
            }
            if let Some(space) = &change.address_space {
                columns.push("address_space = ?".to_owned());
                values.push(space.as_str().into());
            }
            if let Some(port) = change.coa_port {
                columns.push("coa_port = ?".to_owned());
                values.push(Value::Number(Some(port).filter(|&port| port > 0)));
            }
            values.push(row.id.into());
            link.execute(&format!("UPDATE ip_pool_nas SET {} WHERE id = ?", columns.join(", ")), values)?;
            raise_catalogue(link)?;
            Ok(made)
        })
    }
}

fn nases(link: &mut Link, which: Option<&str>) -> Result<Vec<Nas>, StoreError> {
    let words = Words::of(link);
    let (condition, values) = match which {
        Some(name) => ("WHERE n.nas_key = ? OR n.name = ?", vec![name.into(), name.into()]),
        None => ("", vec![]),
    };
    let sql = format!(
        "SELECT n.id, n.nas_key, n.name, n.kind, n.mode, n.address_space, n.nas_identifier, n.coa_address, \
         CAST(n.coa_port AS BIGINT) AS coa_port, n.coa_source, {heard} AS last_heard, {accounting} AS accounting, \
         {now} AS now, (SELECT COUNT(*) FROM ip_pool_pools p WHERE p.nas_id = n.id) AS pools, \
         (SELECT COUNT(*) FROM ip_pool_assignments a WHERE a.lease_nas_id = n.id AND a.status = 'in_use') AS leases \
         FROM ip_pool_nas n {condition} ORDER BY n.nas_key",
        heard = words.time("n.last_heard_at"),
        accounting = words.time("n.accounting_at"),
        now = words.time(words.now),
    );
    link.rows(&sql, values)
}

/// An address space is changed only while nothing lies in the old one: else the same address could be in two.
fn refuse_used(link: &mut Link, id: i64, key: &str, space: &str, old: &str) -> Result<(), AdminError> {
    let sql = "SELECT id FROM ip_pool_pools WHERE nas_id = ? LIMIT 1";
    if link.rows::<super::Id>(sql, vec![id.into()])?.is_empty() {
        return Ok(());
    }
    Err(AdminError::Refused(format!(
        "the NAS {key} has pools in the address space \"{old}\": remove them first (`ippool-rs pool remove`), then set \
         \"{space}\" and import or add them again"
    )))
}
