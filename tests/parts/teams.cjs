// Draws the cards in bodies for a Teams workflow with Microsoft's own renderer: `node teams.cjs PARTS FILE...`.
//
// For each file one line of JSON: the text that a reader sees, and where its links lead. Faults go to stderr, with exit 1.
'use strict';

const fs = require('fs');
const path = require('path');

const [parts, ...files] = process.argv.slice(2);
const from = (name) => require(path.join(parts, 'node_modules', name));

const { window } = new (from('jsdom').JSDOM)('<!doctype html><body></body>', { pretendToBeVisual: true });
globalThis.window = window;
globalThis.document = window.document;
for (const name of Object.getOwnPropertyNames(window)) {
  if (/^(HTML.*Element|Element|Node|MouseEvent|KeyboardEvent|Event|DOMParser)$/.test(name)) globalThis[name] = window[name];
}
// The renderer writes a TextRun by `innerText`, which jsdom lacks.
Object.defineProperty(window.HTMLElement.prototype, 'innerText', {
  get() {
    return this.textContent;
  },
  set(text) {
    this.textContent = text;
  },
});
const cards = from('adaptivecards/dist/adaptivecards.js');
const markdown = from('markdown-it')();
cards.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdown.render(text);
  result.didProcess = true;
};

let faults = files.length ? 0 : 1;
for (const file of files) {
  const body = JSON.parse(fs.readFileSync(file, 'utf8'));
  for (const attachment of body.attachments) {
    const context = new cards.SerializationContext(cards.Versions.v1_5);
    const card = new cards.AdaptiveCard();
    card.parse(attachment.content, context);
    const events = [];
    for (let at = 0; at < context.eventCount; at += 1) events.push(context.getEventAt(at));
    events.push(...card.validateProperties().validationEvents);
    for (const event of events) {
      faults += 1;
      console.error(`${file}: ${event.message}`);
    }
    const drawn = card.render();
    const all = (selector) => [...drawn.querySelectorAll(selector)];
    console.log(
      JSON.stringify({
        text: drawn.textContent,
        links: all('a[href]').map((link) => link.href),
        marked: all('strong, em, code, li, h1, h2, img').map((mark) => mark.outerHTML),
        buttons: all('button').map((button) => button.textContent),
      }),
    );
  }
}
process.exit(faults ? 1 : 0);
