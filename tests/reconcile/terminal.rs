//! In a terminal, long work says how far it is; elsewhere it does not.

use std::process::Command;

use crate::db::Db;
use crate::ground::Ground;

#[test]
fn long_work_shows_a_bar_on_a_terminal_and_takes_it_away() {
    let db = Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    let ground = Ground::new(&db, 1);
    ground.dial(15_000);
    let planned = ground.reconcile(&["-o", "csv"]);
    assert!(!planned.err.contains('\u{1b}'), "no terminal, no bar");
    // util-linux' script gives it a terminal for all three.
    let mine = ground.command(&["--apply"]);
    let words = std::iter::once(mine.get_program()).chain(mine.get_args());
    let line: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut command = Command::new("script");
    command.args(["-qefc", &line.join(" "), "/dev/null"]).env("IPPOOL_RS_DATABASE", db.url());
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let bars: Vec<_> =
        text.split("\r\u{1b}[K").filter(|part| part.contains("core0: writing leases [")).collect();
    assert!(bars.len() > 1 && bars[0].contains(" of 15000"), "{text:?}");
    assert!(bars.last().unwrap().trim_end().ends_with(" of 15000"), "nothing behind the bar: {text:?}");
    assert!(text.contains("adopted 15000"), "{text:?}");
}
