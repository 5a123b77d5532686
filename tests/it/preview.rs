//! `jobrelay preview`: every set in every kind of channel on one page, which can do nothing and fetches nothing.

use std::{fs, process::Output};

use regex::Regex;

use crate::common::{Home, command, text};

const CONFIG: &str = "sources:\n  contoso: { kind: aos_scan_jobs, region: us, client_id: an-id, client_secret: a-secret }\n\
                      channels:\n  oncall: { kind: webhook, url: 'https://tickets.contoso.example/secret-path-0123' }\n\
                      server: { listen: '127.0.0.1:0', public_url: 'https://relay.contoso.example' }\n";
const RULES: &str = "rules: [{ name: scan-failed, when: { state: failed }, notify: oncall }]\n";

const KINDS: [&str; 4] = ["Slack", "Microsoft Teams", "Email", "Webhook"];

fn home(templates: &[(&str, &str)]) -> Home {
    let home = Home::new(CONFIG, RULES);
    for (file, words) in templates {
        let path = home.path("templates").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, words).unwrap();
    }
    home
}

fn page(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    let page = text(&output.stdout);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{}", text(&output.stderr));
    inert(&page);
    page
}

/// Nothing on the page runs or is fetched: its own elements are those that are drawn here, their addresses are links', and a
/// mail's own are inside an attribute.
fn inert(page: &str) {
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; ";
    assert!(page.contains(policy));
    let tags = Regex::new(r#"<([a-zA-Z!/][^\s>]*)((?:[^>"]|"[^"]*")*)>"#).unwrap();
    let attributes = Regex::new(r#"([^\s=]+)="([^"]*)""#).unwrap();
    let known = [
        "!doctype", "html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "article", "h1", "h2", "h3",
        "h4", "h5", "p", "div", "span", "pre", "code", "b", "i", "s", "br", "hr", "a", "fieldset", "legend", "label", "input", "iframe",
        "details", "summary", "dl", "dt", "dd",
    ];
    let mut frames = 0;
    for tag in tags.captures_iter(page) {
        let name = tag[1].trim_start_matches('/');
        assert!(known.contains(&name), "the page holds <{}", &tag[1]);
        for attribute in attributes.captures_iter(&tag[2]) {
            let (key, value) = (&attribute[1], &attribute[2]);
            assert!(!key.starts_with("on") && key != "src", "{}", &tag[0]);
            if key == "href" {
                assert!(name == "a" && ["#", "https://"].iter().any(|start| value.starts_with(start)), "{}", &tag[0]);
            }
            if key == "style" {
                assert!(!value.contains("url"), "{}", &tag[0]);
            }
        }
        if &tag[1] == "iframe" {
            frames += 1;
            assert!(tag[2].starts_with(" sandbox=\"\""), "{}", &tag[2][..60]);
        }
    }
    assert!(frames >= 8, "{frames} mails");
    assert!(!page.contains("url(") && !page.contains("@import"));
    // Every mark that would turn the direction of reading is shown as something else, but inside of a mail's own frame.
    let drawn = Regex::new(r#"srcdoc="[^"]*""#).unwrap().replace_all(page, "");
    assert!(!drawn.contains(['\u{202e}', '\u{2066}', '\u{0}', '\u{1b}']));
}

/// The messages of one set, by kind of channel.
fn messages<'p>(page: &'p str, set: &str, kind: &str) -> Vec<&'p str> {
    let section = page.split("<h2>").find(|section| section.starts_with(&format!("The set <code>{set}</code>"))).expect("the set");
    section.split("<article ").filter(|article| article.contains(&format!("<h4>{kind} "))).collect()
}

#[test]
fn without_a_config_it_shows_what_is_built_in_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = || command(folder.path()).arg("preview").output().unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("There is no config at jobrelay.yaml: these are the built-in sets alone."));
    assert_eq!(text(&output.stdout), "jobrelay-preview.html: 3 sets, 68 messages\n");
    let path = folder.path().join("jobrelay-preview.html");
    let page = fs::read_to_string(&path).unwrap();
    inert(&page);
    assert!(page.contains("these are the built-in sets alone"), "{page}");
    for kind in KINDS {
        assert_eq!((messages(&page, "alert", kind).len(), messages(&page, "notice", kind).len()), (7, 6), "{kind}");
    }
    // What the readers see of one job, of two hundred, and of a trouble.
    for kind in KINDS {
        let alerts = messages(&page, "alert", kind);
        assert!(alerts[0].contains("scan exchange mailboxes"), "{kind}: {}", alerts[0]);
        assert!(alerts[2].contains(if kind == "Webhook" { "&quot;count&quot;: 200" } else { "200" }), "{kind}: {}", alerts[2]);
        assert!(messages(&page, "notice", kind)[1].contains("Nothing that ended meanwhile is lost"), "{kind}");
        let missing = &messages(&page, "notice", kind)[3];
        assert!(missing.contains("nightly-scan") && !missing.contains("about itself"), "{kind}: {missing}");
        // A machine is told nothing of why it is in one message, for it gets none.
        assert!(kind == "Webhook" || alerts[3].contains("eld while the channel could not be reached"), "{kind}: {}", alerts[3]);
        assert!(alerts[4].contains("channel_is_archived"), "{kind}: {}", alerts[4]);
    }
    // Its own page it writes again, to the letter; a page of someone else's never.
    assert_eq!(run().status.code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), page);
    fs::write(&path, "my home page").unwrap();
    let refused = run();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("jobrelay-preview.html is there and no page of `preview`"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_to_string(&path).unwrap(), "my home page");
}

#[test]
fn the_users_sets_are_shown_with_their_words_and_nothing_of_the_config() {
    let home = home(&[
        ("brief/slack.json.hbs", "{ \"text\": \"BRIEFLY *{{rule.name}}*\", \"blocks\": [{ \"type\": \"video\", \"alt_text\": \"x\" }] }"),
        ("alert/email.html.hbs", "<p>OWN {{job.profile}}</p><script>alert(1)</script><img src=\"https://evil.example/x.png\">"),
    ]);
    let page = page(&home.run(&["preview", "--out", "-"]), 0);
    let brief = messages(&page, "brief", "Slack");
    assert!(brief[0].contains("your words") && brief[0].contains("BRIEFLY") && brief[0].contains("not drawn here"), "{}", brief[0]);
    assert!(messages(&page, "brief", "Email")[0].contains("&lt;p&gt;OWN scan exchange mailboxes"), "the set `alert` stands behind it");
    assert!(!messages(&page, "brief", "Microsoft Teams")[0].contains("your words"));
    assert!(page.contains("href=\"https://relay.contoso.example/\""), "links go to the console");
    assert!(!page.contains("secret-path") && !page.contains("a-secret"), "{page}");
}

#[test]
fn a_set_without_words_for_a_kind_is_shown_with_the_reason() {
    let home = home(&[
        ("alert/teams.json.hbs", "{ \"type\": \"message\", \"text\": \"{{job.profil}}\" }"),
        ("brief/slack.json.hbs", "{ \"text\": \"{{rule.name}}\", \"blocks\": \"<script>none</script>\" }"),
    ]);
    let output = home.run(&["preview", "--out", "-"]);
    let page = page(&output, 1);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("teams.json.hbs:1:") && stderr.contains("profil"), "{stderr}");
    assert!(stderr.contains("error: set brief, Slack, one job: templates/brief/slack.json.hbs makes a message that Slack would not take"));
    assert_eq!(stderr.matches("error: set ").count(), 2, "each reason is told once: {stderr}");
    for (set, kind) in [("alert", "Microsoft Teams"), ("brief", "Slack")] {
        for message in messages(&page, set, kind) {
            assert!(message.contains("class=\"fault\"") && message.contains("These are the built-in words"), "{message}");
        }
    }
    assert!(messages(&page, "alert", "Slack").iter().all(|message| !message.contains("class=\"fault\"")));
    assert!(!page.contains("<script"), "{page}");
}
