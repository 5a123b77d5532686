"""A mail server (aiosmtpd) that hangs up on the first mail, once it has all of it, and takes every later one; who sends must
log in by XOAUTH2. It prints its port, and then a line for each login and each mail.

usage: smtpd.py USER TOKEN
"""

import base64
import email
import json
import socket
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

user, token = sys.argv[1:]


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    cut = False

    async def auth_XOAUTH2(self, server, args):
        given = base64.b64decode(args[1], validate=True)
        right = given == f"user={user}\x01auth=Bearer {token}\x01\x01".encode()
        answer = None
        if not right:
            # As Exchange Online does it: a challenge that says why, an answer that says nothing, and then the refusal.
            answer = await server.challenge_auth('{"status":"401","schemes":"Bearer"}')
        say(login=right, answer=None if answer is None else repr(answer))
        return AuthResult(success=right, handled=False, auth_data=user)

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content)
        cut, Handler.cut = not Handler.cut, True
        say(id=mail["Message-ID"], to=envelope.rcpt_tos, cut=cut, defects=len(mail.defects))
        if cut:
            server.transport.abort()
        return "250 2.0.0 taken"


# Of its own accord it takes no port that is free.
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
controller = Controller(Handler(), hostname="127.0.0.1", port=port, auth_required=True, auth_require_tls=False)
controller.start()
say(port=port)
# Until whoever started it goes away.
sys.stdin.read()
controller.stop()
