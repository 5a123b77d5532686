//! What an expression may cost, and that nothing written breaks anything.

use std::time::{Duration, Instant};

use proptest::{prelude::*, sample::select};

use super::*;
use crate::rules::expr::read;

/// Expressions that are small to write and would be long to work out.
fn bombs() -> Vec<String> {
    let list = format!("[{}]", ["1"; 30].join(","));
    let nested = |depth: usize| {
        let names = ["a", "b", "c", "d", "e", "f"];
        let open: Vec<String> = names[..depth].iter().map(|name| format!("{list}.exists({name}, ")).collect();
        let open = open.concat();
        format!("{open}{} < 0{}", names[..depth].join(" + "), ")".repeat(depth))
    };
    let sum = ["job.extension"; 20].join(" + ");
    vec![
        nested(3),
        nested(5),
        "job.extension.all(a, job.extension.all(b, a != b))".to_owned(),
        "job.extension.map(a, job.extension).map(b, b.map(c, c)).size() == 1".to_owned(),
        format!("job.extension.map(a, {sum}).size() > 1"),
        format!("[1,2,3,4,5,6,7,8,9].map(x, {}).map(x, x + x + x).size() == 1", ["[job.extension]"; 15].join(" + ")),
    ]
}

#[test]
fn a_bomb_is_refused() {
    for bomb in bombs() {
        let told = faults(&bomb);
        assert!(told.len() == 1 && told[0].contains("steps for one job, and at most 20000 are allowed"), "{bomb}: {told:?}");
    }
}

#[test]
fn expr_takes_no_longer_than_its_bound() {
    let names = ["\"a name of some length\""; 40].join(",");
    let dear = [
        format!("job.extension.all(a, {})", ["a != 1"; 8].join(" && ")),
        format!("job.extension.map(a, a).filter(b, b != 1).size() > 0 && {} == \"\"", ["job.profile"; 20].join(" + ")),
        ["job.profile.contains(\"yyyyyyyyyyyyyy\")"; 22].join(" || "),
        format!("[{names}].exists(x, job.profile.contains(x))"),
        format!("[{}].all(x, x != {})", ["job.profile"; 20].join(","), ["job.profile"; 20].join(" + ")),
        "job.profile.matches(\"(x+x+)+y\") || job.profile.matches(\"^.*.*.*.*=.*$\")".to_owned(),
        "job.profile.matches(\"[a-z]{300}!\")".to_owned(),
        ["job.extension == job.extension"; 25].join(" && "),
    ];
    let items: Vec<String> = (0..EXTENSION_VALUES - 1).map(|n| format!("value {n}")).collect();
    let job = Job { profile: "x".repeat(TEXT_BYTES), ..with_extension(serde_json::json!(items)) };
    for expression in dear {
        let (rules, faults) = rule(&format!("{{ expr: '{expression}' }}"));
        assert!(!faults.any_error(), "{expression}: {:?}", lines(&faults));
        let _ = rules.judge(&job, now());
        let began = Instant::now();
        let _ = rules.judge(&job, now());
        let took = began.elapsed();
        println!("{took:?} {expression}");
        // A build for tests is some ten times slower than one for use, and the machine may be busy.
        assert!(took < Duration::from_millis(500), "{expression}: {took:?}");
    }
}

#[test]
fn deep_expressions_fit_on_a_small_stack() {
    // Half of what a worker of the runtime has.
    let deep = || {
        for expression in [
            format!("{}true{}", "(".repeat(23), ")".repeat(23)),
            format!("job.profile == {}", ["\"a\""; 22].join("+")),
            format!("job.profile == {}", ["\"a\""; 240].join("+")),
            format!("{}true", "!".repeat(900)),
            format!("0 < {}1", "-".repeat(900)),
            format!("{}1", "true?1:".repeat(140)),
            format!("{}[1]{} == 1", "[".repeat(20), "]".repeat(20)),
            format!("job.extension{} == 1", ".a".repeat(450)),
            format!("job.extension{} == 1", "[1]".repeat(300)),
            format!("{}job.profile{}", "size(".repeat(190), ")".repeat(190)),
            "[".repeat(990),
            "job.id.trim()".to_owned() + &".trim()".repeat(140),
            format!("{}x{}", "[1].map(x,".repeat(60), ")".repeat(60)),
        ] {
            println!("{expression}");
            let (rules, _) = rule(&format!("{{ expr: '{expression}' }}"));
            let _ = rules.judge(&job(State::Finished, "x", 60), now());
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(deep).unwrap().join().unwrap();
}

/// Pieces of which expressions are made, in any order.
const PIECES: &[&str] = &[
    "job.",
    "job.profile",
    "job.extension",
    "job.duration",
    "job.finished",
    "a",
    "x",
    "1",
    "-1",
    "2.5",
    "3u",
    "0",
    "\"a\"",
    "'",
    "\"",
    "b\"\\xff\"",
    "null",
    "true",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "?",
    ".",
    "+",
    "-",
    "*",
    "/",
    "%",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    "&&",
    "||",
    " in ",
    "size(",
    ".all(x, ",
    ".map(x, ",
    ".exists(x, x",
    "has(",
    ".matches(\"",
    "timestamp(",
    "duration(",
    "9223372036854775807",
    "-9223372036854775808",
    "1e308",
    "\\",
    "\n",
    "é",
    "\u{0}",
    "int(",
    "string(",
    ".getHours(",
    "dyn(",
    "type(",
    "\"1h\"",
    "\"9999999999999h\"",
    "timestamp(253402300799)",
    "r\"",
    "0x",
    "//",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn nothing_written_breaks_anything(pieces in proptest::collection::vec(select(PIECES), 1..14)) {
        let written = pieces.concat();
        let node = crate::document::Node {
            value: crate::document::Value::Text(written.clone()),
            place: crate::document::Place::file(std::path::Path::new("r.yaml")),
            filled: false,
        };
        let mut told = crate::document::Faults::default();
        let known = crate::rules::Known { channels: &[], sources: &[], template_sets: &[] };
        // What panics within is contained: here it must not even do that.
        let test = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&node, &known, &mut told)));
        prop_assert!(test.is_ok(), "{written:?}");
        prop_assert_eq!(test.unwrap().is_none(), told.any_error(), "{:?}", written);
        prop_assert!(!lines(&told).iter().any(|line| line.contains("can't be read") || line.contains("can't be checked")), "{written:?}");
    }

    #[test]
    fn what_is_right_is_worked_out_or_says_why(
        field in select(&["job.extension", "job.extension.a", "job.duration", "job.started", "job.profile", "job.type", "1", "-9223372036854775808", "1.5", "0", "duration(\"2562047h\")", "timestamp(253402300799)", "\"\"", "[]", "{}"][..]),
        operator in select(&["+", "-", "*", "/", "%", "==", "<", " in ", ">="][..]),
        other in select(&["job.extension", "job.extension.a", "-1", "0", "9223372036854775807", "0.0", "job.duration", "job.started", "\"a\"", "[1]", "duration(\"-2562047h\")", "timestamp(-62135596800)", "18446744073709551615u"][..]),
        value in select(&["null", "0", "-9223372036854775808", "1.7e308", "\"a\"", "[1]", "{\"a\":1}", "{\"a\":-1}", "{\"a\":\"x\"}", "{\"a\":[]}", "18446744073709551615"][..]),
    ) {
        let expression = format!("dyn({field} {operator} {other}) == 1");
        let (rules, faults) = rule(&format!("{{ expr: '{expression}' }}"));
        if !faults.any_error() {
            let job = with_extension(serde_json::from_str(value).unwrap());
            let _ = rules.judge(&job, now());
            let found = &rules.explain(&job, Past::none(), now())[0].conditions[0].found;
            prop_assert!(!found.contains("can't be worked out"), "{expression} of {value}: {found}");
        }
    }
}
