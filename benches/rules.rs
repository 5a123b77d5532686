//! Judging: what a job costs with 10, 1,000 and 10,000 rules.
//!
//! The rules are of the kinds that teams write, for many teams: one profile's failures, slow scans, a stuck scan, a part
//! under `any`; and, in a set of their own, those that look back, with an expression among them. A job matches a few of them at most. `known` jobs are like one met before, as nearly all are in service;
//! `new` ones have a profile's name never met, so that the index answers alone.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{hint::black_box, path::PathBuf, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use jobrelay::{
    document::{Faults, Node, Source, parse},
    domain::{Category, Job, JobType, Name, State},
    rules::{Known, Past, RuleSet, read},
};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Jobs judged in one round: a page.
const PAGE: usize = 1_000;

fn rule(n: usize) -> String {
    let when = match n % 8 {
        0 => format!("{{ state: failed, profile: 'team {n} *' }}"),
        1 => format!("{{ state: [failed, finished_with_exception], profile: 'team {n} sites' }}"),
        2 => format!("{{ state: finished, profile: '*{n} mail', duration: '> 30m' }}"),
        3 => format!("{{ state: running, profile: 'team {n} *', duration: '> 6h' }}"),
        4 => format!("{{ type: google, category: google, state: [failed, stopped], profile: ['team {n} *', 'group {n} *'] }}"),
        5 => format!("{{ source: fabrikam, state: failed, profile: 'team {n} *' }}"),
        6 => format!("{{ any: [{{ state: failed, profile: 'team {n} *' }}, {{ state: stopped, profile: 'group {n} *' }}] }}"),
        _ => format!("{{ state: failed, profile: '/^team {n} (sites|mail)$/' }}"),
    };
    format!("  - {{ name: rule-{n}, when: {when}, notify: oncall }}\n")
}

/// A rule that looks at the past of one team's jobs, and now and then one with an expression.
fn rule_with_past(n: usize) -> String {
    let when = match n % 4 {
        0 => format!("{{ state: [failed, stopped], profile: 'team {n} *', streak: '>= 3' }}"),
        1 => format!("{{ state: finished, profile: 'team {n} sites', slower_than_usual: {{ factor: 2, over: 20 }} }}"),
        2 => format!("{{ state: failed, profile: 'team {n} *', count: {{ at_least: 3, within: 24h }} }}"),
        _ => format!("{{ state: finished, profile: 'team {n} *', expr: 'job.duration > duration(\"30m\") && job.profile.size() > 10' }}"),
    };
    format!("  - {{ name: rule-{n}, when: {when}, notify: oncall }}\n")
}

fn parsed(rules: usize, rule: impl Fn(usize) -> String) -> Node {
    let text = format!("rules:\n{}", (0..rules).map(rule).collect::<String>());
    parse(&Arc::new(Source { path: PathBuf::from("rules.yaml"), text }), &mut Faults::default()).unwrap()
}

fn compiled(file: &Node) -> RuleSet {
    let mut faults = Faults::default();
    let known = Known { channels: &[Name::from("oncall")], sources: &[Name::from("contoso"), Name::from("fabrikam")], template_sets: &[] };
    let rules = read(std::slice::from_ref(file), &known, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    rules
}

fn now() -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap()
}

fn job(n: usize, profile: String) -> Job {
    Job {
        source: Name::from("contoso"),
        id: format!("Scan{n}"),
        kind: Some(JobType::Microsoft365),
        // As in service: most jobs end well.
        state: if n.is_multiple_of(50) { State::Failed } else { State::Finished },
        started: Some(now() - Duration::from_secs(60 + n as u64)),
        finished: Some(now()),
        profile,
        category: Some(Category::Microsoft365),
        extension: serde_json::Value::Null,
    }
}

fn page(profile: impl Fn(usize) -> String) -> Vec<Job> {
    (0..PAGE).map(|n| job(n, profile(n))).collect()
}

fn judging(c: &mut Criterion) {
    for (what, known) in [("known", true), ("new", false)] {
        let mut group = c.benchmark_group(format!("judge {what} jobs"));
        group.throughput(Throughput::Elements(PAGE as u64)).sample_size(20).measurement_time(Duration::from_secs(3));
        for size in SIZES {
            let rules = compiled(&parsed(size, rule));
            let judge = |jobs: &[Job]| jobs.iter().map(|job| rules.judge(black_box(job), now()).len()).sum::<usize>();
            if known {
                let jobs = page(|n| format!("team {} sites", n % 200));
                judge(&jobs);
                group.bench_function(format!("{size} rules"), |b| b.iter(|| judge(&jobs)));
            } else {
                let mut round = 0;
                let mut fresh = || {
                    round += 1;
                    page(|n| format!("team {n} sites {round}"))
                };
                group.bench_function(format!("{size} rules"), |b| b.iter_batched(&mut fresh, |jobs| judge(&jobs), BatchSize::PerIteration));
            }
        }
        group.finish();
    }
}

fn looking_back(c: &mut Criterion) {
    let mut group = c.benchmark_group("judge by the past");
    group.throughput(Throughput::Elements(PAGE as u64)).sample_size(20).measurement_time(Duration::from_secs(3));
    let jobs = page(|n| format!("team {} sites", n % 200));
    // As a store gives it: what ended before, the newest first.
    let past: Vec<Arc<Job>> = jobs.iter().take(100).cloned().map(Arc::new).collect();
    for size in SIZES {
        let rules = compiled(&parsed(size, rule_with_past));
        let judge = |job: &Job| {
            let by_past = rules.need(black_box(job)).map_or(0, |_| rules.judge_by_past(job, Past::new(&past), now()).len());
            by_past + rules.judge(job, now()).len()
        };
        group.bench_function(format!("{size} rules"), |b| b.iter(|| jobs.iter().map(judge).sum::<usize>()));
    }
    group.finish();
}

fn loading(c: &mut Criterion) {
    let mut group = c.benchmark_group("load");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for size in SIZES {
        let file = parsed(size, rule);
        group.bench_function(format!("{size} rules, compiled"), |b| b.iter(|| compiled(&file)));
        let file = parsed(size, rule_with_past);
        group.bench_function(format!("{size} rules that look back, compiled"), |b| b.iter(|| compiled(&file)));
    }
    group.finish();
}

criterion_group!(benches, judging, looking_back, loading);
criterion_main!(benches);
