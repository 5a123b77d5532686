//! Templates: sets of Handlebars files, one for each way of saying a message.
//!
//! A template is checked when it is read, in every branch and not only in those that sample data takes: a variable that is
//! not there, a helper that is not there, an argument too many. What is left for service is data, which is escaped for where
//! it lands and can add nothing to a message but text.

mod check;
mod compile;
mod engine;
mod escape;
mod files;
mod headline;
mod helpers;
mod inline;
mod part;
mod sample;
mod shape;
mod steps;
mod summary;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use crate::document::{Fault, Faults, Place, Source};

pub use engine::{RENDERED_BYTES, RenderFailure, Snippet};
pub use files::TEMPLATE_BYTES;
pub use inline::Inline;
pub use part::{BuiltIn, Part};
pub use sample::{digests, notices, now as sample_now, samples, samples_of};
pub use steps::{LONGEST, STEPS};
pub use summary::PICTURE;
pub use view::{BATCH, View, undelivered_line, view};

/// Every template set: the built-in ones, and the user's files in their place.
#[derive(Debug)]
pub struct Templates {
    engine: engine::Engine,
    /// The user's files that compiled, by set and part.
    users: BTreeMap<(String, Part), Arc<Source>>,
    /// The sets that alerts may be put into words with.
    sets: BTreeSet<String>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Templates {
    /// The built-in sets alone.
    #[must_use]
    pub fn built_in() -> Self {
        Self { engine: engine::Engine::default(), users: BTreeMap::new(), sets: BTreeSet::from([BuiltIn::Alert.name().to_owned()]) }
    }

    /// The built-in sets with the user's files below `folder` in their place, file by file. A folder that is not there is
    /// none. Every template that does not compile, or that fails on sample data, is told with its place.
    #[must_use]
    pub fn load(folder: &Path, faults: &mut Faults) -> Self {
        let mut templates = Self::built_in();
        for found in files::read(folder, faults) {
            // Digests and notices are always in the sets of their own, and nothing else is.
            if BuiltIn::of_its_own(&found.set).is_none() {
                templates.sets.insert(found.set.clone());
            }
            let Some(part) = found.part else { continue };
            if let Some(source) = found.source {
                templates.add(&found.set, part, source, faults);
            }
        }
        templates
    }

    /// Takes in one file of the user's, unless something is wrong with it.
    fn add(&mut self, set: &str, part: Part, source: Arc<Source>, faults: &mut Faults) {
        let Some(template) = compile::compile(&source, faults) else { return };
        if !check::check(&template, &source, faults) {
            return;
        }
        let name = engine::name(set, part);
        self.engine.put(&name, template, Arc::clone(&source));
        for (what, notification) in samples_of(set) {
            let all = notification.entries();
            for (shown, link, trouble) in [(all, Some("https://jobrelay.example"), None), (0, None, Some("a line about trouble"))] {
                let data = view(&notification, shown, sample::now(), link, trouble);
                if let Err(fault) = self.engine.try_out(part.landing(), &name, &data, what) {
                    faults.push(fault);
                    self.engine.remove(&name);
                    return;
                }
            }
        }
        self.users.insert((set.to_owned(), part), source);
    }

    /// The names of the sets that a rule or a channel may ask for: `alert` and the user's own.
    #[must_use]
    pub fn sets(&self) -> Vec<String> {
        self.sets.iter().cloned().collect()
    }

    /// Whether a part of a set is a file of the user's; a part that a user's own set lacks is that of the set `alert`.
    #[must_use]
    pub fn is_users(&self, set: &str, part: Part) -> bool {
        self.users_set(set, part).is_some()
    }

    /// Whether a part of a set is a file of the user's that has nothing to say of where a message could not be delivered.
    #[must_use]
    pub fn keeps_quiet_of_trouble(&self, set: &str, part: Part) -> bool {
        let source = self.users_set(set, part).and_then(|set| self.users.get(&(set.to_owned(), part)));
        source.is_some_and(|source| !source.text.contains("undelivered"))
    }

    /// Where a user's part begins, for faults about the whole of it.
    #[must_use]
    pub fn place(&self, set: &str, part: Part) -> Option<Place> {
        let source = self.users.get(&(set.to_owned(), part))?;
        Some(compile::place_at(source, 1, 1, ""))
    }

    fn users_set<'s>(&self, set: &'s str, part: Part) -> Option<&'s str> {
        [set, BuiltIn::behind(set).name()].into_iter().find(|set| self.users.contains_key(&((*set).to_owned(), part)))
    }

    /// Renders one part of a set.
    ///
    /// # Errors
    /// There is no such set, or the template failed: file, line and variable, in one line.
    pub fn render(&self, set: &str, part: Part, view: &View) -> Result<String, RenderFailure> {
        if !self.sets.contains(set) && BuiltIn::of_its_own(set).is_none() {
            return Err(RenderFailure::Failed(format!("there is no template set `{set}`")));
        }
        match self.users_set(set, part) {
            Some(set) => self.engine.render(part.landing(), &engine::name(set, part), view),
            None => self.render_built_in(BuiltIn::behind(set), part, view),
        }
    }

    /// Renders the built-in words of a set for one part, whatever the user's files say.
    ///
    /// # Errors
    /// The result exceeds [`RENDERED_BYTES`], or takes more than [`STEPS`].
    pub fn render_built_in(&self, set: BuiltIn, part: Part, view: &View) -> Result<String, RenderFailure> {
        self.engine.render_built_in(set, part, view)
    }
}

/// A fault without a place of its own inside the file.
fn whole(source: &Arc<Source>, message: impl Into<String>) -> Fault {
    Fault::error(&compile::place_at(source, 1, 1, ""), message)
}

#[cfg(test)]
mod tests;
