"""Holds bodies for a Slack webhook against Slack's own SDK and against slackblocks: `slack.py FILE...`.

Neither library asks for all that Slack refuses, so both are asked. Prints every fault; exits 1 if there is one.
"""

import json
import sys

from slack_sdk.models import JsonObject
from slack_sdk.models.blocks import Block as SdkBlock
from slackblocks import Block as StrictBlock
from slackblocks import WebhookMessage

# Slack documents none; a payload of 13,172 characters over all blocks was refused.
TEXT_IN_ALL = 12_000


def sdk_faults(thing, seen):
    """Every object of the SDK is validated, not only the outermost: a button's limits are told by the button alone."""
    if isinstance(thing, (list, tuple)):
        for part in thing:
            yield from sdk_faults(part, seen)
    elif isinstance(thing, JsonObject) and id(thing) not in seen:
        seen.add(id(thing))
        try:
            thing.validate_json()
        except Exception as error:
            yield f"slack_sdk: {error}"
        yield from sdk_faults(list(vars(thing).values()), seen)


def strict_faults(block):
    try:
        parsed = StrictBlock.from_dict(block)._resolve()
    except NotImplementedError:
        # A kind that slackblocks can write but not read (one with elements); the SDK has looked at it.
        return
    except Exception as error:
        yield f"slackblocks: {error}"
        return
    if "block_id" not in block:
        parsed.pop("block_id", None)
    if without_defaults(parsed) != without_defaults(block):
        yield f"slackblocks reads {json.dumps(block)} as {json.dumps(parsed)}"


def without_defaults(value):
    """`emoji: false` and `verbatim: false` say what goes without saying, and slackblocks leaves them unsaid."""
    if isinstance(value, dict):
        return {key: without_defaults(part) for key, part in value.items() if (key, part) not in (("emoji", False), ("verbatim", False))}
    if isinstance(value, list):
        return [without_defaults(part) for part in value]
    return value


def texts(value):
    """Every text object below a value, as its length."""
    if isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            yield value.get("text")
        else:
            for part in value.values():
                yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def faults(body):
    if not isinstance(body.get("text"), str) or not body["text"].strip():
        yield "no `text`, which is what a notification shows"
    lists = [body["blocks"]] if "blocks" in body else []
    lists += [attachment["blocks"] for attachment in body.get("attachments", []) if "blocks" in attachment]
    blocks = [block for one in lists for block in one]
    if not blocks:
        yield "no blocks"
    for block in blocks:
        parsed = SdkBlock.parse(block)
        if parsed is None:
            yield f"slack_sdk knows no block like {json.dumps(block)}"
            continue
        yield from sdk_faults(parsed, set())
        yield from strict_faults(block)
    found = list(texts(blocks))
    if any(not isinstance(text, str) or not text for text in found):
        yield "an empty text object"
    if sum(len(text or "") for text in found) > TEXT_IN_ALL:
        yield f"more than {TEXT_IN_ALL} characters over all blocks"
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        yield "a block_id twice"
    for one in lists:
        if len(one) > 50:
            yield f"{len(one)} blocks, of at most 50"
    try:
        WebhookMessage(text=body.get("text"))
    except Exception as error:
        yield f"slackblocks: {error}"


found = 0
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        body = json.load(file)
    for fault in faults(body):
        found += 1
        print(f"{path}: {fault}")
sys.exit(1 if found or len(sys.argv) < 2 else 0)
