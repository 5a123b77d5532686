// Draws bodies for a Slack webhook with a renderer of Block Kit: `node slack.cjs PARTS FILE...`.
//
// For each file one line of JSON: the text that a reader sees, what stands in it as code, where its links lead, what in it would
// ring for someone, and what is marked in any other way. Faults go to stderr, with exit 1.
'use strict';

const fs = require('fs');
const path = require('path');

const [parts, ...files] = process.argv.slice(2);
const from = (name) => require(path.join(parts, 'node_modules', name));

const { createElement } = from('react');
const { renderToStaticMarkup } = from('react-dom/server');
const { Message } = from('slack-blocks-to-jsx');
const { JSDOM } = from('jsdom');

let faults = files.length ? 0 : 1;
let name = '';
const fault = (why) => {
  faults += 1;
  console.error(`${name}: ${why}`);
};

// What Slack shows for each of its three escapes. This renderer undoes them before it looks for mark-up, and Slack does not: signs
// that mean nothing to it stand in their place meanwhile.
const ESCAPES = [['&lt;', '‹', '<'], ['&gt;', '›', '>'], ['&amp;', '＆', '&']];
const replaced = (text, from, to) => ESCAPES.reduce((said, escape) => said.replaceAll(escape[from], escape[to]), text);
const drawable = (text) => replaced(text, 0, 1);
const seen = (text) => replaced(text, 1, 2);

// Within code it reads links and doubles signs, and Slack does neither.
const bare = (text) => text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[*~\s]/g, '');

// A `plain_text` is shown as it stands, but this renderer reads mark-up in it: a sign of ours is drawn in its place.
function set_aside(value, plain) {
  if (Array.isArray(value)) return value.map((part) => set_aside(part, plain));
  if (value === null || typeof value !== 'object') return value;
  if (value.type === 'plain_text') {
    plain.push(seen(drawable(value.text)));
    return { ...value, text: `⟦${plain.length - 1}⟧` };
  }
  if (value.type === 'mrkdwn') return { ...value, text: drawable(value.text) };
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, set_aside(part, plain)]));
}

// Every text with mark-up below a value.
function marked_up(value) {
  if (value === null || typeof value !== 'object') return [];
  return value.type === 'mrkdwn' ? [value.text] : Object.values(value).flatMap(marked_up);
}

function draw(blocks) {
  const plain = [];
  const html = renderToStaticMarkup(createElement(Message, { blocks: set_aside(blocks, plain), logo: '', name: '', withoutWrapper: true }));
  const drawn = new JSDOM(html).window.document.body;
  const all = (selector) => [...drawn.querySelectorAll(selector)];
  let text = drawn.textContent.replaceAll('\u00a0', ' ');
  plain.forEach((said, at) => {
    if (text.split(`⟦${at}⟧`).length !== 2) fault(`the plain text ${JSON.stringify(said)} is drawn ${text.split(`⟦${at}⟧`).length - 1} times`);
    text = text.replace(`⟦${at}⟧`, () => ` ${said} `);
  });
  const code = all('code').map((span) => span.textContent);
  const written = marked_up(blocks).flatMap((one) => drawable(one).split('`').filter((_, at) => at % 2));
  if (code.length !== written.length) fault(`${written.length} spans of code are written, ${code.length} are drawn`);
  written.forEach((span, at) => {
    if (bare(span) !== bare(code[at] ?? '')) fault(`${JSON.stringify(span)} is drawn as ${JSON.stringify(code[at])}`);
  });
  const outside = (selector) => all(selector).filter((mark) => !mark.closest('code'));
  const ringing = ['broadcast', 'user', 'channel', 'usergroup'].map((kind) => `.slack_${kind}`).join(', ');
  return {
    text: seen(text),
    code: written.map(seen),
    links: outside('a[href]').map((link) => seen(decodeURI(link.getAttribute('href')))),
    ringing: all(ringing).map((mark) => mark.textContent),
    marked: outside('em, strong, del, li, pre, blockquote, h1, h2, img, table').map((mark) => mark.textContent),
  };
}

for (const file of files) {
  name = file;
  const body = JSON.parse(fs.readFileSync(file, 'utf8'));
  const lists = [body.blocks, ...(body.attachments ?? []).map((attachment) => attachment.blocks)].filter(Boolean);
  const drawn = lists.map(draw);
  const joined = (key) => drawn.flatMap((one) => one[key]);
  console.log(JSON.stringify({ text: joined('text').join('\n'), code: joined('code'), links: joined('links'), ringing: joined('ringing'), marked: joined('marked') }));
}
process.exit(faults ? 1 : 0);
