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
mod helpers;
mod inline;
mod part;
mod sample;
mod shape;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use serde_json::Value;

use crate::document::{Fault, Faults, Place, Source};

pub use engine::{RENDERED_BYTES, RenderFailure, Snippet};
pub use files::TEMPLATE_BYTES;
pub use inline::Inline;
pub use part::Part;
pub use sample::samples;
pub use view::{BATCH, view};

/// The set used where neither a rule nor a channel names one.
pub const DEFAULT_SET: &str = "alert";

/// Every template set: the built-in ones, and the user's files in their place.
#[derive(Debug)]
pub struct Templates {
    engine: engine::Engine,
    /// The user's files that compiled, by set and part.
    users: BTreeMap<(String, Part), Arc<Source>>,
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
        Self { engine: engine::Engine::built_in(), users: BTreeMap::new(), sets: BTreeSet::from([DEFAULT_SET.to_owned()]) }
    }

    /// The built-in sets with the user's files below `folder` in their place, file by file. A folder that is not there is
    /// none. Every template that does not compile, or that fails on sample data, is told with its place.
    #[must_use]
    pub fn load(folder: &Path, faults: &mut Faults) -> Self {
        let mut templates = Self::built_in();
        for found in files::read(folder, faults) {
            templates.sets.insert(found.set.clone());
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
        self.engine.put(part.landing(), &name, template, Arc::clone(&source));
        for (what, notification) in samples() {
            for shown in [notification.alerts.len(), 0] {
                let data = view(&notification, shown, sample::now(), Some("https://jobrelay.example"), Some("a line about trouble"));
                if let Err(fault) = self.engine.try_out(part.landing(), &name, &data, what, &source) {
                    faults.push(fault);
                    self.engine.remove(part.landing(), &name);
                    return;
                }
            }
        }
        self.users.insert((set.to_owned(), part), source);
    }

    /// The names of all sets: `alert` and the user's own.
    #[must_use]
    pub fn sets(&self) -> Vec<String> {
        self.sets.iter().cloned().collect()
    }

    /// Whether a part of a set is a file of the user's; a part that a user's set lacks is that of the set `alert`.
    #[must_use]
    pub fn is_users(&self, set: &str, part: Part) -> bool {
        self.users_set(set, part).is_some()
    }

    /// Where a user's part begins, for faults about the whole of it.
    #[must_use]
    pub fn place(&self, set: &str, part: Part) -> Option<Place> {
        let source = self.users.get(&(set.to_owned(), part))?;
        Some(compile::place_at(source, 1, 1, ""))
    }

    fn users_set<'s>(&self, set: &'s str, part: Part) -> Option<&'s str> {
        [set, DEFAULT_SET].into_iter().find(|set| self.users.contains_key(&((*set).to_owned(), part)))
    }

    /// Renders one part of a set.
    ///
    /// # Errors
    /// There is no such set, or the template failed: file, line and variable, in one line.
    pub fn render(&self, set: &str, part: Part, view: &Value) -> Result<String, RenderFailure> {
        if !self.sets.contains(set) {
            return Err(RenderFailure::Failed(format!("there is no template set `{set}`")));
        }
        match self.users_set(set, part) {
            Some(set) => self.engine.render(part.landing(), &engine::name(set, part), view),
            None => self.render_built_in(part, view),
        }
    }

    /// Renders the built-in words for one part, whatever the user's files say.
    ///
    /// # Errors
    /// The result exceeds [`RENDERED_BYTES`].
    pub fn render_built_in(&self, part: Part, view: &Value) -> Result<String, RenderFailure> {
        self.engine.render(part.landing(), &engine::built_in_name(part), view)
    }
}

/// A fault without a place of its own inside the file.
fn whole(source: &Arc<Source>, message: impl Into<String>) -> Fault {
    Fault::error(&compile::place_at(source, 1, 1, ""), message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::document::Level;

    /// Loads a folder that holds one file of the set `alert`; gives the faults as `line:column message | hint`.
    fn faults_of(part: Part, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("alert")).unwrap();
        fs::write(folder.path().join("alert").join(part.file()), text).unwrap();
        let mut faults = Faults::default();
        let templates = Templates::load(folder.path(), &mut faults);
        assert_eq!(templates.is_users("alert", part), !faults.any_error(), "a faulty file is not used");
        faults
            .sorted()
            .iter()
            .map(|f| format!("{}:{} {} | {}", f.place.line, f.place.column, f.message, f.hint.as_deref().unwrap_or("")))
            .collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let faults = faults_of(Part::EmailText, text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(expected), "{}\nshould contain\n{expected}", faults[0]);
    }

    #[test]
    fn every_built_in_template_is_as_sound_as_a_users_must_be() {
        for part in Part::ALL {
            assert_eq!(faults_of(*part, part.built_in()), Vec::<String>::new(), "{}", part.file());
        }
    }

    #[test]
    fn an_unknown_variable_is_found_in_every_corner() {
        check("Hello {{job.profil}}", "1:9 there is no variable `job.profil` | did you mean `profile`?");
        check("a\n{{#if job.nope}}x{{/if}}", "2:7 there is no variable `job.nope`");
        check("{{#unless nope}}x{{/unless}}", "there is no variable `nope`");
        check("{{#if rolled_up}}{{else}}{{#each jobs}}{{idd}}{{/each}}{{/if}}", "there is no variable `idd` | did you mean `id`?");
        check("{{#each jobs}}{{../rule.nam}}{{/each}}", "there is no variable `../rule.nam` | did you mean `name`?");
        check("{{#each jobs as |j|}}{{j.nope}}{{/each}}", "there is no variable `j.nope`");
        check("{{upper (truncate job.nope 5)}}", "there is no variable `job.nope`");
        check("{{date job.finished timezone=zone}}", "there is no variable `zone`");
        check("{{lookup job \"nope\"}}", "there is no variable `nope`");
        check("{{#if (eq rule.severity critical)}}x{{/if}}", "there is no variable `critical`");
        check("{{jobs.profile}}", "it is a list");
        check("{{job.id.x}}", "it is a single value");
        check("{{@index}}", "it stands inside {{#each}} only");
        check("{{#with job}}{{rule.name}}{{/with}}", "there is no variable `rule.name`");
        check("{{../count}}", "goes up further than there are blocks");
        check("{{#if count}}{{else if nope}}x{{/if}}", "there is no variable `nope`");
    }

    #[test]
    fn a_helper_is_used_as_it_is_meant() {
        check("{{uper job.profile}}", "there is no helper `uper` | did you mean `upper`?");
        check("{{#jobs}}{{/jobs}}", "there is no helper `jobs` | write {{#each jobs}} or {{#if jobs}}");
        check("{{truncate job.profile}}", "`truncate` takes 2 arguments, not 1 | write {{truncate TEXT LENGTH}}");
        check("{{truncate job.profile 0}}", "a length of at least 1");
        check("{{#each jobs}}{{duration}}{{/each}}", "for the variable write {{this.duration}}");
        check("{{date now timezon=\"UTC\"}}", "`date` has no option `timezon` | did you mean `timezone`?");
        check("{{date now timezone=\"Europe/Zuerich\"}}", "1:22 there is no time zone `Europe/Zuerich`");
        check("{{date now format=\"%Q%\"}}", "the format can't be used");
        check("{{upper jobs}}", "`upper` takes a single value");
        check("{{jobs}}", "`jobs` is a list, not a text");
        check("{{upper (json job)}}", "`json` writes by itself");
        check("{{#upper job.id}}{{/upper}}", "`upper` opens no block");
        check("{{#each count}}{{/each}}", "`count` is no list");
        check("{{duration job.profile}}", "with sample data (one job): `duration` takes seconds, not `scan sharepoint sites`");
    }

    #[test]
    fn nothing_gets_round_the_escaping() {
        check("{{{job.profile}}}", "without escaping it | write it with two braces");
        check("x {{&job.profile}}", "1:3 three braces");
        check("{{> other}}", "can't take in another one");
        check("{{#*inline \"x\"}}{{/inline}}", "can't take in another one");
        check("{{log job}}", "there is no helper `log`");
        check("{{{{raw}}}}x{{{{/raw}}}}", "there is no helper `raw`");
        check("{{(upper job.profile)}}", "parentheses stand around a helper");
    }

    #[test]
    fn what_does_not_compile_is_told_in_a_plain_sentence() {
        check("a\n  {{#if count}}x", "2:3 the block `{{#if}}` is never closed | write {{/if}} at its end");
        check(
            "{{#if count}}\n{{#each jobs}}\n{{/if}}",
            "3:1 `{{/if}}` stands where `{{#each}}` of line 2 should be closed | write {{/each}} first",
        );
        check("{{/if}}", "closes a block that is not open");
        check("{{job.profile", "1:1 the braces opened here are never closed");
        check("{{job.profile}\n{{count}}", "1:1 the braces opened here are never closed");
        check("{{else}}", "outside of any block");
        check("{{}}", "nothing between the braces");
        check("{{job profile=}}", "not a Handlebars expression");
    }

    #[test]
    fn a_file_that_would_exhaust_the_parser_is_refused() {
        check(&"{{#if count}}".repeat(4_000), "opens more than 256 blocks");
        check(&format!("{{{{upper {}}}}}", "(".repeat(10_000)), "more than 32 brackets");
        check(&"x".repeat(TEMPLATE_BYTES + 1), "larger than 65536 bytes");
        let deep = format!("{}{}", "{{#if count}}".repeat(256), "{{/if}}".repeat(256));
        assert_eq!(faults_of(Part::EmailText, &deep), Vec::<String>::new());
        let long = format!("{0}{0}{0}{1}{2}{2}{2}", "{{#each @root.rule.labels}}", "x".repeat(60_000), "{{/each}}");
        assert_eq!(faults_of(Part::EmailText, &long), Vec::<String>::new());
        let nested = "{{#each jobs}}{{#each @root.jobs}}{{/each}}{{/each}}";
        check(nested, "loops stand too deep in one another");
        check(&format!("{}{}", "{{#each @root.rule.labels}}".repeat(4), "{{/each}}".repeat(4)), "loops stand too deep");
    }

    #[test]
    fn json_that_does_not_parse_is_refused_with_the_piece() {
        let faults = faults_of(Part::Slack, "{\"text\": \"{{rule.name}}\",\n \"x\": {{job.finished}}}");
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("with sample data (one job) the result is not valid JSON"), "{faults:?}");
        assert!(faults[0].contains("line 2 of the result reads: \"x\": 2024-09-26T"), "{faults:?}");
        let faults = faults_of(Part::Webhook, "{{#each jobs}}{{#unless @first}},{{/unless}}{}{{/each}}");
        assert!(faults[0].contains("with sample data (one job)") && faults[0].contains("not valid JSON"), "{faults:?}");
    }

    #[test]
    fn labels_and_the_vendors_extension_are_open() {
        let text = "{{rule.labels.team}}{{rule.labels.nope}}{{job.extension.anything.below}}{{default rule.labels.oncall \"nobody\"}}\
                    {{#each rule.labels}}{{@key}}={{this}} {{/each}}{{#with rule.runbook}}{{url this}}{{else}}none{{/with}}";
        assert_eq!(faults_of(Part::EmailText, text), Vec::<String>::new());
    }

    #[test]
    fn a_users_file_takes_the_built_in_ones_place_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [("alert/email.subject.hbs", "ours {{rule.name}}"), ("quiet/email.txt.hbs", "quiet {{rule.name}}")] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut faults = Faults::default();
        let templates = Templates::load(folder.path(), &mut faults);
        assert!(faults.is_empty());
        assert_eq!(templates.sets(), ["alert", "quiet"]);
        let data = view(&samples()[0].1, 1, sample::now(), None, None);
        let render = |set, part| templates.render(set, part, &data);
        assert_eq!(render("quiet", Part::EmailText).unwrap(), "quiet scan-failed");
        assert_eq!(render("quiet", Part::EmailSubject).unwrap(), "ours scan-failed");
        assert_eq!(render("alert", Part::EmailText), templates.render_built_in(Part::EmailText, &data));
        assert_eq!(render("nope", Part::EmailText), Err(RenderFailure::Failed("there is no template set `nope`".into())));
        assert!(templates.is_users("quiet", Part::EmailText) && templates.is_users("quiet", Part::EmailSubject));
        assert!(!templates.is_users("alert", Part::EmailText) && !templates.is_users("quiet", Part::Slack));
        assert!(Templates::load(&folder.path().join("nope"), &mut faults).sets() == ["alert"] && faults.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_outside_of_the_folder_is_read() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("email.txt.hbs"), "secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let alert = folder.path().join("alert");
        fs::create_dir(&alert).unwrap();
        symlink(outside.path().join("email.txt.hbs"), alert.join("email.txt.hbs")).unwrap();
        symlink(outside.path(), folder.path().join("linked")).unwrap();
        fs::create_dir(alert.join("email.html.hbs")).unwrap();
        symlink("/dev/zero", alert.join("teams.json.hbs")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(alert.join("slack.json.hbs")).status().unwrap();
        assert!(pipe.success());
        fs::write(alert.join("webhook.json.hbs"), [0xff, 0xfe]).unwrap();
        fs::write(alert.join("email.subjct.hbs"), "x").unwrap();
        fs::write(folder.path().join("email.txt.hbs"), "x").unwrap();
        // Within the folder a link is fine: that is how volumes are mounted.
        fs::create_dir(folder.path().join("..data")).unwrap();
        fs::write(folder.path().join("..data/email.subject.hbs"), "{{rule.name}}").unwrap();
        symlink("../..data/email.subject.hbs", alert.join("email.subject.hbs")).unwrap();
        let mut faults = Faults::default();
        let templates = Templates::load(folder.path(), &mut faults);
        let told: Vec<String> = faults
            .sorted()
            .iter()
            .map(|f| format!("{} {}", f.place.source.path.strip_prefix(folder.path()).unwrap().display(), f.message))
            .collect();
        assert_eq!(
            told,
            [
                "alert/email.html.hbs the template is no regular file",
                "alert/email.subjct.hbs no channel uses a file named `email.subjct.hbs`",
                "alert/email.txt.hbs the template leads out of the templates' folder",
                "alert/slack.json.hbs the template is no regular file",
                "alert/teams.json.hbs the template is no regular file",
                "alert/webhook.json.hbs the template is no UTF-8 text",
                "email.txt.hbs the file stands outside of any set and is not used",
                "linked the template leads out of the templates' folder",
            ]
        );
        assert_eq!(faults.sorted().iter().filter(|f| f.level == Level::Warning).count(), 2);
        assert!(templates.is_users("alert", Part::EmailSubject));
    }

    proptest::proptest! {
        #[test]
        fn no_text_at_all_upsets_the_compiler(text in "(\\{\\{|\\}\\}|#|/|if|each|else|~|[ a-z.@(){}&>*^=|\"'\\\\\n]){0,40}") {
            faults_of(Part::EmailText, &text);
        }
    }
}
