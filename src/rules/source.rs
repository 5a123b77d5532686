//! `source`: the tenant a job came from.

use crate::{
    document::{Faults, Node, text_list},
    domain::Name,
};

use super::{
    Known,
    condition::{Facts, Lane, Test, either, twice, unknown},
    when::When,
};

#[derive(Debug)]
struct OneOf(Vec<Name>);

impl Test for OneOf {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        self.0.contains(&facts.job.source)
    }

    fn wanted(&self) -> String {
        either(self.0.iter().map(Name::as_str))
    }

    fn found(&self, facts: &Facts<'_>, _: &When) -> String {
        facts.job.source.to_string()
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Source(&self.0)
    }
}

pub(super) fn read(node: &Node, known: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let sources = names(node, known, faults);
    (!sources.is_empty()).then(|| Box::new(OneOf(sources)) as Box<dyn Test>)
}

/// One source's name or a list of them, in the file's order, none twice.
pub(super) fn names(node: &Node, known: &Known<'_>, faults: &mut Faults) -> Vec<Name> {
    let mut sources = Vec::new();
    for (item, written) in text_list(node, faults) {
        match known.sources.iter().find(|name| name.as_str() == written) {
            Some(name) if sources.contains(name) => twice(item, "source", &written, faults),
            Some(name) => sources.push(name.clone()),
            None => {
                let names: Vec<&str> = known.sources.iter().map(Name::as_str).collect();
                unknown(item, "source", &written, &names, faults);
            }
        }
    }
    sources
}
