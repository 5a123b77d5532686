use std::fs;

use super::*;
use crate::document::Level;

/// Loads a folder that holds one file of the set `alert`; gives the faults as `line:column message | hint`.
fn faults_of(part: Part, text: &str) -> Vec<String> {
    faults_in("alert", part, text)
}

fn faults_in(set: &str, part: Part, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(set)).unwrap();
    fs::write(folder.path().join(set).join(part.file()), text).unwrap();
    let mut faults = Faults::default();
    let templates = Templates::load(folder.path(), &mut faults);
    assert_eq!(templates.is_users(set, part), !faults.any_error(), "a faulty file is not used");
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
    for set in BuiltIn::ALL {
        for part in Part::ALL {
            assert_eq!(faults_in(set.name(), *part, part.built_in(*set)), Vec::<String>::new(), "{}/{}", set.name(), part.file());
        }
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
    check("{{#if (eq jobs 1)}}x{{/if}}", "`eq` takes a single value");
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
    assert_eq!(render("alert", Part::EmailText), templates.render_built_in(BuiltIn::Alert, Part::EmailText, &data));
    assert_eq!(render("nope", Part::EmailText), Err(RenderFailure::Failed("there is no template set `nope`".into())));
    assert!(templates.is_users("quiet", Part::EmailText) && templates.is_users("quiet", Part::EmailSubject));
    assert!(!templates.is_users("alert", Part::EmailText) && !templates.is_users("quiet", Part::Slack));
    assert!(Templates::load(&folder.path().join("nope"), &mut faults).sets() == ["alert"] && faults.is_empty());
}

#[test]
fn a_notice_has_a_set_of_its_own_which_no_file_of_another_stands_in_for() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [("alert/email.txt.hbs", "ours {{job.profile}}"), ("notice/email.subject.hbs", "ours {{notice.title}}")] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut faults = Faults::default();
    let templates = Templates::load(folder.path(), &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(templates.sets(), ["alert"], "no rule or channel may ask for it");
    let data = view(&notices()[0].1, 0, sample::now(), None, None);
    let said = |part| templates.render("notice", part, &data).unwrap();
    assert_eq!(said(Part::EmailSubject), "ours contoso can't be read");
    assert!(said(Part::EmailText).starts_with("Critical: contoso can't be read\n"), "{}", said(Part::EmailText));
    assert!(templates.is_users("notice", Part::EmailSubject) && !templates.is_users("notice", Part::EmailText));
    assert!(!templates.is_users("alert", Part::EmailSubject));
}

#[test]
fn what_a_notice_says_is_known_everywhere_and_nothing_else_of_it() {
    assert_eq!(faults_in("notice", Part::EmailText, "{{notice.title}} {{job.profile}} {{count}}"), Vec::<String>::new());
    assert_eq!(faults_of(Part::EmailText, "{{#if notice}}{{notice.title}}{{else}}{{job.profile}}{{/if}}"), Vec::<String>::new());
    check("{{notice.titel}}", "there is no variable `notice.titel` | did you mean `title`?");
    let faults = faults_in("notice", Part::Webhook, "{\"at\": {{notice.lasted}}}");
    assert!(
        faults.len() == 1 && faults[0].contains("with sample data (a notice without a time) the result is not valid JSON"),
        "{faults:?}"
    );
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

/// What a template makes of the sample of one job, at a landing.
fn said(part: Part, text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("alert")).unwrap();
    fs::write(folder.path().join("alert").join(part.file()), text).unwrap();
    let mut faults = Faults::default();
    let templates = Templates::load(folder.path(), &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    let (_, mut notification) = samples().swap_remove(0);
    notification.alerts[0].job.profile = "R&D <sites>\n of *Zürich* `x` 👩‍💻".into();
    templates.render("alert", part, &view(&notification, 1, sample::now(), None, None)).unwrap()
}

#[test]
fn each_helper_says_what_its_name_promises() {
    // The job began 300 s before the present of the samples and took 32.5 s.
    let cases = [
        ("{{duration job.duration}} {{duration 5400}} {{duration null}}|", "32s 1h 30m |"),
        ("{{date job.started}}|{{date null}}|", "2024-09-26 05:53 UTC||"),
        ("{{date job.started timezone=\"Europe/Zurich\"}}", "2024-09-26 07:53 CEST"),
        ("{{date job.started timezone=\"America/New_York\" format=\"%a %H:%M\"}}", "Thu 01:53"),
        ("{{date job.started format=\"%s\"}}", "1727330020"),
        ("{{relative job.started}}|{{relative now}}|{{relative \"2024-09-26T06:58:40Z\"}}|{{relative null}}", "5m ago|just now|in 1h|"),
        (
            "{{plural 1 \"job\" \"jobs\"}} {{plural 0 \"job\" \"jobs\"}} {{plural count \"job\" \"jobs\"}} {{plural 2 \"job\"}}",
            "job jobs job jobs",
        ),
        ("{{truncate job.profile 13}}|{{truncate job.profile 1}}|{{truncate \"abc\" 3}}|{{truncate null 3}}|", "R&D <sites>…|…|abc||"),
        ("{{upper job.state}} {{lower \"ÄB\"}}", "FAILED äb"),
        (
            "{{default null \"x\"}} {{default \"\" \"x\"}} {{default 0 \"x\"}} {{default job.id \"x\"}}",
            "x x 0 4f9c7b1e-0000-4000-8000-000000000000",
        ),
        (
            "{{#if (and (eq job.state \"failed\") (not rolled_up) (gt count 0) (lte count 1) (or (ne 1 1) (lt 1 2) (gte 1 1)))}}yes{{/if}}",
            "yes",
        ),
        ("{{#eq job.state \"failed\"}}yes{{else}}no{{/eq}}", "yes"),
        ("{{upper (default (truncate job.source 3) \"x\")}}", "CO…"),
        ("{{len jobs}} {{lookup rule.labels \"team\"}} {{#with (lookup jobs 0)}}{{run}}{{/with}}", "1 collaboration 1"),
        ("{{code job.profile}}", "R&D <sites> of *Zürich* ˋxˋ 👩‍💻"),
        ("{{url \"https://a.example/x y|z?a=1&b=(2)\"}}|{{url \"javascript:alert(1)\"}}|", "https://a.example/x%20y%7Cz?a=1&b=%282%29||"),
        ("{{json rule.labels}}", "{\"runbook\":\"https://wiki.contoso.example/failed-scans\",\"team\":\"collaboration\"}"),
        ("{{#each jobs}}{{@index}}{{@first}}{{@last}} {{../rule.name}} {{@root.count}}{{/each}}", "0truetrue scan-failed 1"),
        ("{{#each jobs as |one at|}}{{at}}{{one.run}}{{/each}}", "01"),
        ("\\{{literal}} {{! a comment }}{{!-- another {{one}} --}}.", "{{literal}} ."),
    ];
    for (text, expected) in cases {
        assert_eq!(said(Part::EmailText, text), expected, "{text}");
    }
}

#[test]
fn a_template_that_loops_for_ever_or_writes_without_end_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("alert")).unwrap();
    let thrice = "{{#each rule.labels}}{{#each @root.rule.labels}}{{#each @root.rule.labels}}";
    let idle = format!("{thrice}{{{{#if (eq (upper @key) \"nothing\")}}}}x{{{{/if}}}}{{{{/each}}}}\n{{{{/each}}}}{{{{/each}}}}");
    let empty = format!("{thrice}{{{{/each}}}}{{{{/each}}}}{{{{/each}}}}");
    let wordy = "{{#each jobs}}{{#each @root.rule.labels}}{{#each @root.rule.labels}}{{this}}{{/each}}{{/each}}{{/each}}";
    let (_, mut notification) = samples().swap_remove(0);
    notification.rule.labels = (0..2_000).map(|n| (format!("label-{n}"), "x".repeat(500))).collect();
    let data = view(&notification, 1, sample::now(), None, None);
    for (text, expected) in [
        (idle.as_str(), "email.txt.hbs:1:"),
        (empty.as_str(), "the template takes "),
        (wordy, "the template makes more than 1048576 bytes"),
    ] {
        fs::write(folder.path().join("alert/email.txt.hbs"), text).unwrap();
        let mut faults = Faults::default();
        let templates = Templates::load(folder.path(), &mut faults);
        assert!(!faults.any_error(), "nothing is wrong with it for the samples");
        let began = std::time::Instant::now();
        let failure = templates.render("alert", Part::EmailText, &data).unwrap_err().to_string();
        assert!(failure.contains(expected), "{failure}");
        assert!(began.elapsed() < LONGEST * 2, "{:?}", began.elapsed());
    }
}

#[test]
fn one_value_is_written_in_as_many_ways_as_there_are_places() {
    let text = "{{job.profile}}";
    assert_eq!(said(Part::EmailText, text), "R&D <sites>\n of *Zürich* `x` 👩‍💻");
    assert_eq!(said(Part::EmailSubject, text), "R&D <sites> of *Zürich* `x` 👩‍💻");
    assert_eq!(said(Part::EmailHtml, text), "R&amp;D &lt;sites&gt;\n of *Zürich* `x` 👩‍💻");
    let quoted = "\"{{job.profile}}\"";
    assert_eq!(said(Part::Slack, quoted), "\"R&amp;D &lt;sites&gt;\\n of *Zürich* `x` 👩‍💻\"");
    assert_eq!(said(Part::Teams, quoted), "\"R&D <sites\\\\>\\n of \\\\*Zürich\\\\* \\\\`x\\\\` 👩‍💻\"");
    assert_eq!(said(Part::Webhook, quoted), "\"R&D <sites>\\n of *Zürich* `x` 👩‍💻\"");
    // The helpers that write for themselves are no way round it.
    assert_eq!(said(Part::Slack, "{{json job.profile}}"), said(Part::Slack, quoted));
    assert_eq!(said(Part::Slack, "\"{{plain job.profile}}\""), said(Part::Slack, quoted));
    assert_eq!(said(Part::Teams, "{{json job.profile}}"), said(Part::Teams, quoted));
    assert_eq!(said(Part::Teams, "\"{{plain job.profile}}\""), "\"R&D <sites>\\n of *Zürich* `x` 👩‍💻\"");
    assert_eq!(said(Part::EmailHtml, "{{json job.profile}}"), "&quot;R&amp;D &lt;sites&gt;\\n of *Zürich* `x` 👩‍💻&quot;");
    // A length counts what escaping adds, and cuts no entity in half.
    assert_eq!(said(Part::Slack, "\"{{truncate job.profile 14}}\""), "\"R&amp;D &lt;s…\"");
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_message() {
    assert_eq!(said(Part::EmailText, "\u{feff}{{job.state}}"), said(Part::EmailText, "{{job.state}}"));
}
