"""Holds bodies for a Teams workflow against the Adaptive Card schema: `teams.py FILE...`.

The schema is Microsoft's of version 1.5, the newest that Teams shows. Prints every fault; exits 1 if there is one.
"""

import json
import os
import sys

import adaptive_cards
from jsonschema.validators import validator_for

# What Teams takes in all, as the documentation has it; it counts its own, longer, spelling.
BYTES = 28 * 1024

with open(os.path.join(os.path.dirname(adaptive_cards.__file__), "schemas", "schema-1.5.json"), encoding="utf-8") as file:
    schema = json.load(file)
# Teams' own property, which the schema of the cards themselves does not name.
schema["definitions"]["AdaptiveCard"]["properties"]["msteams"] = {"type": "object"}
validator = validator_for(schema)(schema)


def innermost(error):
    """Of the many kinds that a part may be, only the faults of the one that its `type` names are of interest."""
    branches = {}
    for part in error.context:
        branches.setdefault(part.schema_path[0], []).append(part)
    meant = [parts for parts in branches.values() if not any(list(part.path)[-1:] == ["type"] for part in parts)]
    if not meant:
        return [error]
    return [inner for part in min(meant, key=len) for inner in innermost(part)]


def faults(text):
    if len(text.encode()) > BYTES:
        yield f"{len(text.encode())} bytes, of at most {BYTES}"
    body = json.loads(text)
    attachments = body.get("attachments")
    if body.get("type") != "message" or not isinstance(attachments, list) or not attachments:
        yield "no message with attachments: a workflow loops over them"
        return
    for attachment in attachments:
        if attachment.get("contentType") != "application/vnd.microsoft.card.adaptive":
            yield f"contentType {attachment.get('contentType')}"
        for error in validator.iter_errors(attachment.get("content")):
            for inner in innermost(error):
                yield f"{inner.json_path}: {inner.message[-300:]}"


found = 0
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        for fault in faults(file.read()):
            found += 1
            print(f"{path}: {fault}")
sys.exit(1 if found or len(sys.argv) < 2 else 0)
