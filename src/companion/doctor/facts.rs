//! What `doctor` looks at: files, the database, the routers. Nothing fails here: what cannot be read is a fact, too.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::companion::Desk;
use crate::companion::config;
use crate::companion::exit::Failure;
use crate::companion::router::{Health, quick};
use crate::lease::{OpenNas, SourceNames, Time};
use crate::store::admin::{
    Admin, Base, Doubtful, Ledger, PoolLink, PoolSummary, Radacct, Server, Shortest, SiteIndex,
    StoredFinding, base,
};
use crate::store::migrate::NEEDED;
use crate::store::{Catalogue, DatabaseUrl};

/// Everything that the checks judge.
#[derive(Default)]
pub(super) struct Facts {
    /// How many routers are configured, or what is wrong with the files.
    pub config: Option<Result<usize, String>>,
    /// Files that hold secrets and that every user may read.
    pub public: Vec<PathBuf>,
    /// The database, as it is named; or why it is not known which.
    pub url: Option<Result<String, String>>,
    /// What it says of itself, or why it cannot be asked.
    pub base: Option<Result<Base, String>>,
    /// This machine's clock, when the database's was read.
    pub here: Time,
    pub file: Option<File>,
    /// What is in the tables; none: they are not there, or may not be read.
    pub stored: Option<Result<Stored, String>>,
    pub routers: Vec<Health>,
}

/// A SQLite file.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub path: PathBuf,
    /// It was in WAL mode before it was opened here.
    pub wal: bool,
    /// Files beside it that belong to another user: their names.
    pub foreign: Vec<String>,
    /// Bytes that are left on its disk.
    pub left: Option<u64>,
}

/// What is in the tables.
pub(super) struct Stored {
    pub now: Time,
    pub servers: Vec<Server>,
    pub catalogue: Catalogue,
    pub summaries: Vec<PoolSummary>,
    pub pools: Vec<PoolLink>,
    pub findings: Vec<StoredFinding>,
    pub doubtful: Doubtful,
    pub radacct: Result<Radacct, String>,
    pub open: Vec<OpenNas>,
    /// Indexes that the site's tables should have.
    pub indexes: Vec<SiteIndex>,
    pub shortest: Vec<Shortest>,
    /// Leases by NAS: key, how many.
    pub leases: Vec<(String, i64)>,
}

/// What ran out before this is long ago, seconds.
const LONG: i64 = 86_400;

pub(super) fn read(desk: &Desk, no_routers: bool) -> Facts {
    let sentence = |failure: Failure| failure.sentence;
    let routers = config::routers(&desk.options);
    let mut facts = Facts {
        config: Some(routers.as_ref().map(Vec::len).map_err(|failure| failure.sentence.clone())),
        public: config::public_secrets(&desk.options),
        ..Facts::default()
    };
    let url = desk.url().map_err(sentence);
    facts.url = Some(url.as_ref().map(ToString::to_string).map_err(Clone::clone));
    if let Ok(url) = &url {
        facts.file = file(url);
        let seen = base(url);
        facts.here = here();
        let current = |base: &Base| base.version.is_some_and(|v| v.major == NEEDED.major && v >= NEEDED);
        let usable = seen.as_ref().is_ok_and(|base| current(base) && base.lacking.is_empty());
        facts.base = Some(seen.map_err(|error| error.to_string()));
        if usable {
            facts.stored = Some(stored(url).map_err(sentence));
        }
    }
    if !no_routers && routers.is_ok_and(|routers| !routers.is_empty()) {
        facts.routers = quick(desk).unwrap_or_default();
    }
    facts
}

fn stored(url: &DatabaseUrl) -> Result<Stored, Failure> {
    let (mut admin, mut ledger) = (Admin::open(url)?, Ledger::open(url)?);
    let now = ledger.now()?;
    let radacct = ledger.radacct()?;
    let open = match &radacct {
        Ok(table) if table.indexed => ledger.open_by_nas(table)?,
        _ => Vec::new(),
    };
    Ok(Stored {
        now,
        servers: ledger.servers()?,
        catalogue: ledger.catalogue()?,
        summaries: admin.summaries(None, None)?,
        pools: ledger.pool_links()?,
        findings: ledger.findings(None)?,
        doubtful: ledger.doubtful(now - LONG)?,
        radacct,
        open,
        indexes: admin.site_indexes(&SourceNames::default())?.0,
        shortest: ledger.shortest_leases()?,
        leases: admin.nases(None)?.into_iter().map(|nas| (nas.nas_key, nas.leases)).collect(),
    })
}

fn file(url: &DatabaseUrl) -> Option<File> {
    let DatabaseUrl::Sqlite(path) = url else { return None };
    let owner = fs::metadata(path).ok()?.uid();
    let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
    let foreign = |end: &&str| fs::metadata(beside(end)).is_ok_and(|metadata| metadata.uid() != owner);
    let foreign = ["-wal", "-shm"].into_iter().filter(foreign).map(|end| beside(end).display().to_string());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let left = rustix::fs::statvfs(folder).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    Some(File { path: path.clone(), wal: is_wal(path), foreign: foreign.collect(), left })
}

/// Bytes 18 and 19 of the header are 2 in WAL mode (<https://www.sqlite.org/fileformat2.html>, 1.3). An empty file has none.
fn is_wal(path: &Path) -> bool {
    use std::io::Read as _;
    let mut header = [0; 20];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .map_or(true, |()| header[18..] == [2, 2])
}

fn here() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
