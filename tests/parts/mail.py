"""Reads mails as a mail server filed them, and holds them against what automatic mail must be: `mail.py FILE...`.

For each file one line of JSON with what a reader sees. Faults go to stderr, with exit 1.
"""

import email
import email.policy
import json
import re
import sys


def faults(raw, message):
    head = raw.split(b"\n\n", 1)[0].replace(b"\r\n", b"\n").split(b"\r\n\r\n", 1)[0]
    if any(byte > 126 for byte in head):
        yield "a raw byte beyond ASCII in the head"
    if any(len(one) > 998 for one in raw.split(b"\n")):
        yield "a line of more than 998 bytes"
    for part in message.walk():
        for defect in part.defects:
            yield f"{part.get_content_type()}: {defect!r}"
        for name, value in part.items():
            for defect in getattr(value, "defects", ()):
                yield f"{name}: {defect!r}"
    for name in ("Date", "Message-ID", "From", "To", "Subject", "MIME-Version"):
        if len(message.get_all(name, [])) != 1:
            yield f"not one {name}, but {message.get_all(name)}"
    if not re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", message["Message-ID"] or ""):
        yield f"Message-ID {message['Message-ID']}"
    if message["Auto-Submitted"] != "auto-generated":
        yield "no Auto-Submitted: auto-generated, which keeps absence notes away"
    kinds = [part.get_content_type() for part in message.iter_parts()]
    for part in message.iter_parts():
        if part.get_content_type() == "multipart/related":
            page, *shown = part.iter_parts()
            kinds.append(page.get_content_type())
            named = sorted(one["Content-ID"] or "" for one in shown)
            if named != sorted(f"<{cid}>" for cid in set(re.findall(r'"cid:([^"]+)"', page.get_content()))):
                yield f"the page does not show {named}, or shows others"
    if message.get_content_type() != "multipart/alternative" or kinds[0] != "text/plain" or "text/html" not in kinds:
        yield f"{message.get_content_type()} of {kinds}, not the text first and then HTML"


found = 0 if len(sys.argv) > 1 else 1
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        raw = file.read()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for fault in faults(raw, message):
        found += 1
        print(f"{path}: {fault}", file=sys.stderr)
    seen = {
        "subject": message["Subject"],
        "from": message["From"],
        "to": message["To"],
        "id": message["Message-ID"],
        "names": sorted({name.lower() for name in message.keys()}),
        "text": message.get_body(("plain",)).get_content() if message.get_body(("plain",)) else "",
        "html": message.get_body(("html",)).get_content() if message.get_body(("html",)) else "",
        "pictures": sum(part.get_content_maintype() == "image" for part in message.walk()),
    }
    print(json.dumps({key: value if key in ("names", "pictures") else str(value) for key, value in seen.items()}))
sys.exit(1 if found else 0)
