// Holds the HTML of mails against what mail programs can show (caniemail) and against HTML itself (html-validate):
// `node html.cjs PARTS FILE...`. For each file one line of JSON; exit code 1 if there is a fault that is not excused below.
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');

const [parts, ...files] = process.argv.slice(2);
const from = createRequire(path.join(parts, 'package.json'));

// What some mail program passes over, and why the mail is whole without it.
const PASSED_OVER = {
  '@media': 'dark mode and narrow screens are a gain where they are known; the inline styles stand without',
  '<style> element': 'the same: it holds nothing but those',
  'display:none': 'the preheader, which is as small and pale as can be besides',
  opacity: 'the preheader again',
  overflow: 'the preheader again',
  'border-radius': 'corners are square',
  'word-break': 'a long word widens the table',
  'white-space': 'a time may break',
  'role attribute': 'a table is read out as one',
  '<body> element': 'its background is on a table as well',
};

// What is against the rules of good pages and right in a mail.
const RIGHT_IN_MAIL = {
  'doctype-style': 'its case means nothing',
  'long-title': 'a mail shows its subject, not its title',
  'no-conditional-comment': 'Outlook reads them, and needs them',
  'no-deprecated-attr': 'Outlook reads attributes, not styles',
  'no-inline-style': 'Gmail drops the others',
  'no-trailing-whitespace': 'where a line of the template made nothing',
  'prefer-tbody': 'it is implied',
};

(async () => {
  const { caniemail } = await import(pathToFileURL(path.join(path.dirname(from.resolve('caniemail/package.json')), 'dist', 'index.js')));
  const { HtmlValidate } = from('html-validate');
  const rules = Object.fromEntries(Object.keys(RIGHT_IN_MAIL).map((rule) => [rule, 'off']));
  const validator = new HtmlValidate({ root: true, extends: ['html-validate:recommended'], rules });
  let failed = false;
  for (const file of files) {
    const html = fs.readFileSync(file, 'utf8');
    const faults = new Set();
    for (const [client, issues] of caniemail({ clients: ['gmail.*', 'outlook.*'], html }).issues.errors) {
      for (const { title } of issues) if (!Object.hasOwn(PASSED_OVER, title)) faults.add(`${client} knows no ${title}`);
    }
    const report = await validator.validateString(html);
    for (const { messages } of report.results) {
      for (const { ruleId, message, line, severity } of messages) if (severity === 2) faults.add(`line ${line}: ${message} (${ruleId})`);
    }
    failed ||= faults.size > 0;
    console.log(JSON.stringify({ file: path.basename(file), bytes: html.length, faults: [...faults] }));
  }
  process.exitCode = failed ? 1 : 0;
})();
