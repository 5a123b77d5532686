//! The mails as web pages: one for each, and one that lists them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::view::{Letter, canvas::clean};

/// The most mails that are written; a demo left alone over night must not fill the disk.
const MAILS: usize = 500;
/// Marks a list that this program wrote, and may write again.
const MARK: &str = "<meta name=\"generator\" content=\"jobrelay demo\">";

const STYLE: &str = "<style>\
body{margin:0;font:15px/1.5 system-ui,sans-serif;background:#f3f4f6;color:#1f2937}\
header,main{max-width:760px;margin:0 auto;padding:20px 24px;box-sizing:border-box}\
h1{font-size:20px;margin:0 0 12px}table{border-collapse:collapse;width:100%}th{font-weight:500;color:#6b7280;text-align:left;\
padding:2px 16px 2px 0;white-space:nowrap;vertical-align:top;width:1%}li{margin:10px 0}time{color:#6b7280;margin-right:10px}\
a{color:#1d4ed8}.mail{display:flex;flex-direction:column;height:100vh}\
iframe{flex:1;border:0;width:100%;background:#fff}@media(prefers-color-scheme:dark){body{background:#111827;color:#e5e7eb}a{color:#93c5fd}}\
</style>";

/// The folder of pages.
#[derive(Debug)]
pub struct Pages {
    folder: PathBuf,
    listed: Vec<String>,
    written: usize,
}

impl Pages {
    /// Pages in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// It can't be made or written, or holds a list of someone else's.
    pub fn open(folder: PathBuf) -> Result<Self, String> {
        fs::create_dir_all(&folder).map_err(|error| format!("can't make the folder {}: {error}", folder.display()))?;
        let index = folder.join("index.html");
        if let Ok(text) = fs::read_to_string(&index)
            && !text.contains(MARK)
        {
            return Err(format!("{} is not the demo's own: name another folder with --out", index.display()));
        }
        let pages = Self { folder, listed: Vec::new(), written: 0 };
        pages.write_list()?;
        Ok(pages)
    }

    /// The page that lists them.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.folder.join("index.html")
    }

    /// Writes a mail; its file, or none where there are [`MAILS`] of them already.
    ///
    /// # Errors
    /// It can't be written.
    pub fn add(&mut self, letter: &Letter) -> Result<Option<PathBuf>, String> {
        if self.written >= MAILS {
            return Ok(None);
        }
        self.written += 1;
        let name = format!("{:03}-{}.html", self.written, slug(&letter.subject));
        let path = self.folder.join(&name);
        write(&path, &page(letter))?;
        let time = letter.date.get(11..16).unwrap_or_default();
        self.listed.push(format!("<li><time>{}</time><a href=\"{name}\">{}</a></li>", escape(time), escape(&letter.subject)));
        self.write_list()?;
        Ok(Some(path))
    }

    fn write_list(&self) -> Result<(), String> {
        let full = if self.written < MAILS { String::new() } else { format!("<p>Only the first {MAILS} mails are kept.</p>") };
        let text = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{MARK}<title>Mails of the demo</title>{STYLE}</head><body><main>\
             <h1>What the mail's readers got</h1><ul>{}</ul>{full}</main></body></html>\n",
            self.listed.concat()
        );
        write(&self.index(), &text)
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("can't write {}: {error}", path.display()))
}

/// One mail: its headers, and its HTML part in a frame where nothing of it can run.
fn page(letter: &Letter) -> String {
    let row = |name: &str, value: &str| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escape(value));
    let rows =
        [row("From", &letter.from), row("To", &letter.to), row("Date", &letter.date.replace('T', " ").replace('Z', " UTC"))].concat();
    let plain = || format!("<pre style=\"white-space:pre-wrap;font:14px/1.5 monospace\">{}</pre>", escape(&letter.text));
    let body = escape(&letter.html.clone().unwrap_or_else(plain));
    let subject = escape(&letter.subject);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{subject}</title>{STYLE}</head><body class=\"mail\">\
         <header><h1>{subject}</h1><table>{rows}</table></header>\
         <iframe sandbox=\"allow-popups\" title=\"The mail\" srcdoc=\"{body}\"></iframe></body></html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Letters, digits and dashes of a text, for a file's name.
fn slug(text: &str) -> String {
    /// Long enough to tell what it is, short enough for a list of files.
    const LONGEST: usize = 48;
    let mut slug = String::new();
    for c in clean(text).to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= LONGEST {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "mail".into() } else { slug.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(subject: &str, html: Option<&str>) -> Letter {
        Letter {
            from: "a <a@x>".into(),
            to: "b@y".into(),
            subject: subject.into(),
            date: "2026-03-01T01:30:00Z".into(),
            message_id: "m".into(),
            text: "plain & simple".into(),
            html: html.map(str::to_owned),
        }
    }

    #[test]
    fn each_mail_is_a_page_and_the_list_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut pages = Pages::open(folder.path().join("deep/er")).unwrap();
        let path = pages.add(&letter("../../[FAILED] \"scan\" <sites>", Some("<p onclick=\"x\">hi</p>"))).unwrap().unwrap();
        assert_eq!(path, folder.path().join("deep/er/001-failed-scan-sites.html"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("srcdoc=\"&lt;p onclick=&quot;x&quot;&gt;hi&lt;/p&gt;\""), "{text}");
        assert!(text.contains("&lt;sites&gt;") && !text.contains("<sites>"));
        pages.add(&letter("🎉", None)).unwrap();
        let list = fs::read_to_string(pages.index()).unwrap();
        assert!(list.contains("href=\"001-failed-scan-sites.html\"") && list.contains("href=\"002-mail.html\""), "{list}");
        assert!(list.contains("<time>01:30</time>"));
    }

    #[test]
    fn a_list_of_someone_elses_is_left_alone_and_an_own_one_written_again() {
        let folder = tempfile::tempdir().unwrap();
        Pages::open(folder.path().to_owned()).unwrap();
        Pages::open(folder.path().to_owned()).unwrap();
        fs::write(folder.path().join("index.html"), "my home page").unwrap();
        assert!(Pages::open(folder.path().to_owned()).unwrap_err().contains("--out"));
        assert_eq!(fs::read_to_string(folder.path().join("index.html")).unwrap(), "my home page");
    }
}
