//! Every fixture's result as it was read and found right, and accepted by the real check.
//!
//! `UPDATE_EXPECTED=1 cargo test --test import` writes the results anew: look at the difference before it is kept.

use pgvs::config::sources::check_text;

use super::{FIXTURES, fixture, import_as, path};

#[test]
fn every_fixture_comes_out_as_reviewed() {
    for (format, name) in FIXTURES {
        let imported = import_as(format, name, &fixture(name));
        let file = path("expected").join(format!("{name}.toml"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&file, &imported.toml).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap();
        assert_eq!(imported.toml, expected, "{name}: see {}", file.display());
    }
}

#[test]
fn every_result_is_accepted_by_the_check() {
    for (format, name) in FIXTURES {
        let imported = import_as(format, name, &fixture(name));
        if let Err(error) = check_text(name, &imported.toml) {
            panic!("{name}: {error}\n{}", imported.toml);
        }
        assert!(
            imported.listed.iter().all(|it| it.place.is_some()),
            "{name}: {:?}",
            imported.listed
        );
    }
}
