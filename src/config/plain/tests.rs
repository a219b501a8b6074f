//! Whatever the quick reader accepts it reads as the `toml` crate does, places included.

use proptest::prelude::*;

use super::*;
use crate::config::unknown::parse_any;

/// The crate's reading, where it has no mistake and no unknown key.
fn by_crate(text: &str) -> Option<String> {
    let mut unknown = Vec::new();
    let file = parse_any(text, &mut unknown).ok()?;
    unknown.is_empty().then(|| format!("{file:?}"))
}

fn ours(text: &str) -> Option<String> {
    parse(text).map(|file| format!("{file:?}"))
}

const POOL: &str = "[[pool]]\nname = \"a\"\nprobe = \"none\"\n[[pool.server]]\nname = \"s\"\n\
    address = \"10.0.0.1:5432\"\nweight = 100\n";

#[test]
fn the_shipped_configs_are_read_alike() {
    for text in [
        include_str!("../../../config/pgvs.toml"),
        include_str!("../../../config/examples/orders.toml"),
        include_str!("../../../config/examples/poolers.toml"),
        include_str!("../../../config/examples/tunnel-kinds.toml"),
        include_str!("../../../config/examples/dual-stack.toml"),
    ] {
        assert_eq!(ours(text).expect("plain"), by_crate(text).expect("valid"));
    }
}

#[test]
fn plain_texts_are_read_alike() {
    for text in [
        "",
        "\n\n# only a comment\n",
        POOL,
        "include = [\"a.toml\", \"b/*.toml\"]\n[director]\nname = \"x\"\n",
        "include = []\n",
        "include = [ \"a\" , ]  # one\n",
        "[[pool]]\nname=\"a\"\n  [pool.postgres]\n  user = \"u\" # who\n[[pool.server]]\n[[pool]]\n[[pool.server]]\n",
        "[[service]]\nname = \"\"\nquorum = 2\nops = false\nscheduler_flags = [\"flag-1\", 2, true]\n",
        "[defaults.server]\nweight = 1\n",
        "[defaults.postgres]\nuser = \"u\"\n[defaults.server]\nweight = 7\n",
        "[kernel]\nmanage = false\n[[service]]\nname = \"gr\u{fc}n\"",
    ] {
        assert_eq!(ours(text), by_crate(text), "{text}");
        assert!(ours(text).is_some(), "{text}");
    }
}

#[test]
fn what_is_not_plain_or_not_right_is_left_to_the_crate() {
    for line in [
        "name = \"a\\u0041\"",
        "name = 'a'",
        "name = \"\"\"a\"\"\"",
        "name = \"a",
        "name = \"a\" b",
        "name = \"a\tb\u{1}\"",
        "name = \"a\" # \u{1}",
        "name = \"a\"\r",
        "name = 01",
        "name = 1_000",
        "name = 0x10",
        "name = -1",
        "name = +1",
        "name = 1.5",
        "name = 1979-05-27",
        "name = 99999999999999999999",
        "name = truex",
        "name = [[1], 2]",
        "name = [1 2]",
        "name = [,]",
        "name = {a = 1}",
        "name =",
        "name",
        "= 1",
        "na.me = 1",
        "\"name\" = 1",
        "nam\u{e9} = 1",
        "unknown = 1",
        "name = 1\nname = 2",
        "[service.name]\nx = 1",
        "[[service.name]]\nx = 1",
        "[service]",
        "[[service]",
        "[[ service ]]",
        "[[service]] x",
        "[[director]]",
        "[director]\n[director]",
        "[]",
        "[a..b]",
        "[pool.postgres]",
        "[defaults.server]\n[defaults]",
        "[[pool]]\n[pool.postgres]\n[pool.postgres]",
        "[[pool]]\npostgres = 1\n[pool.postgres]",
    ] {
        let text = format!("[[service]]\n{line}\n");
        assert_eq!(ours(&text), None, "{text}");
    }
}

/// Pieces of configs, right and wrong, in any order.
fn piece() -> impl Strategy<Value = String> {
    let header = prop_oneof![
        Just("[director]"),
        Just("[defaults]"),
        Just("[defaults.server]"),
        Just("[[pool]]"),
        Just("[pool.postgres]"),
        Just("[[pool.server]]"),
        Just("[[service]]"),
        Just("[service]"),
        Just(" [[service]] # here"),
    ];
    let key = prop_oneof![Just("name"), Just("weight"), Just("user"), Just("address"), Just("x")];
    let value = prop_oneof![
        "\"[ -~]{0,8}\"".prop_map(|text| text),
        "-?[0-9_.]{1,6}",
        "(true|false|\\[[0-9, \"a]{0,6}\\])",
    ];
    prop_oneof![
        3 => header.prop_map(str::to_owned),
        6 => (key, "[ \t]{0,2}", value, "[ #a]{0,3}").prop_map(|(key, blanks, value, end)| {
            format!("{blanks}{key}{blanks}={blanks}{value}{end}")
        }),
        1 => "[ -~\t]{0,12}",
    ]
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_read_as_the_crate_reads_it(
        pieces in proptest::collection::vec(piece(), 0..8)
    ) {
        let text = pieces.join("\n");
        if let Some(read) = ours(&text) {
            prop_assert_eq!(Some(read), by_crate(&text), "{}", text);
        }
    }
}
