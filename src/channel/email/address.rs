//! Addresses as the config writes them: `person@contoso.example`, or `A Person <person@contoso.example>`.

use lettre::{Address, message::Mailbox};
use url::Host;

/// The longest name beside an address; longer ones are no names.
const NAME_CHARS: usize = 100;

/// Reads one address, with a name before it where there is one. A domain is put into its ASCII form and lower case, so that
/// one address is one text.
///
/// # Errors
/// What is wrong, without the text itself.
pub fn parse(text: &str) -> Result<Mailbox, &'static str> {
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("holds a control character");
    }
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>') {
        Some(open) => open.rsplit_once('<').ok_or("has a `>` without a `<`")?,
        None => ("", text),
    };
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    if name.contains(['<', '>', '"', '\\']) {
        return Err("has a name with one of < > \" \\ in it");
    }
    if name.chars().count() > NAME_CHARS {
        return Err("has too long a name");
    }
    if address.contains([',', ';']) {
        return Err("is more than one address: write a list");
    }
    let (user, domain) = address.trim().rsplit_once('@').ok_or("is no mail address: there is no @ in it")?;
    if !user.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\')) {
        // Those would need SMTPUTF8 or quoting, which many servers lack and no one uses for a list of admins.
        return Err("is no mail address that every server takes: left of the @ stand letters, digits and . _ + -");
    }
    let domain = match Host::parse(domain) {
        Ok(Host::Domain(domain)) => domain,
        // `[192.0.2.1]`, as it stands in mail for a machine without a name.
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => return Err("is no mail address: right of the @ stands a domain"),
    };
    let address = Address::new(user, domain).map_err(|_| "is no mail address")?;
    Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, name: Option<&str>, address: &str) {
        let mailbox = parse(text).unwrap_or_else(|why| panic!("{text} {why}"));
        assert_eq!((mailbox.name.as_deref(), mailbox.email.to_string().as_str()), (name, address));
    }

    #[test]
    fn reads_an_address_with_and_without_a_name() {
        check("ops@contoso.example", None, "ops@contoso.example");
        check(" <ops@contoso.example> ", None, "ops@contoso.example");
        check("Scan alerts <jobrelay@contoso.example>", Some("Scan alerts"), "jobrelay@contoso.example");
        check("\"Alerts, all\" <a+b@Contoso.Example>", Some("Alerts, all"), "a+b@contoso.example");
        check("Grüezi <a@bücher.example>", Some("Grüezi"), "a@xn--bcher-kva.example");
        check("root@localhost", None, "root@localhost");
    }

    #[test]
    fn refuses_what_is_none_or_more_than_one() {
        for text in [
            "",
            "ops",
            "@contoso.example",
            "ops@",
            "a@x.example, b@x.example",
            "a@x.example; b@x.example",
            "a@x.example b@x.example",
            "ops@contoso.example>",
            "ops@contoso .example",
            "o ps@contoso.example",
            "ops@contoso.example\r\nBcc: x@y.example",
            "Ops\n <ops@contoso.example>",
            "\"o>p\"@contoso.example",
            "böb@contoso.example",
            "ops@contoso..example",
            "<<ops@contoso.example>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_can_stand_in_a_command(text in "\\PC{0,20}[@<> \r\n]{0,3}\\PC{0,20}@[a-z.<> \r\n]{1,12}") {
            if let Ok(mailbox) = parse(&text) {
                let address = mailbox.email.to_string();
                prop_assert!(address.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"\\".contains(&b)), "{address}");
            }
        }
    }
}
