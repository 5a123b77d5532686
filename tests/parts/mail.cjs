// Reads mails with mailparser, as a web mailer would: `node mail.cjs PARTS FILE...`. For each file one line of JSON.
'use strict';

const fs = require('fs');
const path = require('path');

const [parts, ...files] = process.argv.slice(2);
const { simpleParser } = require(path.join(parts, 'node_modules', 'mailparser'));

(async () => {
  for (const file of files) {
    const mail = await simpleParser(fs.readFileSync(file));
    const { subject, text, html, messageId } = mail;
    // What the page itself shows is no attachment to its reader.
    const pictures = mail.attachments.filter((one) => one.related).length;
    console.log(JSON.stringify({ subject, id: messageId, from: mail.from.text, to: mail.to.text, text, html, attachments: mail.attachments.length - pictures, pictures }));
  }
})();
