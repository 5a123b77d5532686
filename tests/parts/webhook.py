"""Verifies signed requests with the two libraries that receivers use: `webhook.py SECRET FILE...`.

A file holds `{"headers": {...}, "body": "..."}` as it came. Prints every fault; exits 1 if there is one.
"""

import json
import sys

import standardwebhooks
import svix

found = 0
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        request = json.load(file)
    for library in (standardwebhooks, svix):
        try:
            library.Webhook(sys.argv[1]).verify(request["body"], request["headers"])
        except Exception as error:
            found += 1
            print(f"{path}: {library.__name__}: {error!r}")
sys.exit(1 if found or len(sys.argv) < 3 else 0)
