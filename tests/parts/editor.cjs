// Opens YAML files in the yaml language server, as an editor would, and prints what it marks: a line of JSON a file, in order.
// editor.cjs PARTS FILE…
'use strict'

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')

const [parts, ...files] = process.argv.slice(2)
const program = path.join(parts, 'node_modules/yaml-language-server/bin/yaml-language-server')
const server = spawn(process.execPath, [program, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] })
const uris = files.map(file => pathToFileURL(path.resolve(file)).href)
const marked = new Map()

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }))
  server.stdin.write(`Content-Length: ${body.length}\r\n\r\n`)
  server.stdin.write(body)
}

// No catalogue of schemas is asked for: what a file's first line names is all there is.
const settings = { yaml: { schemaStore: { enable: false }, validate: true }, http: {}, '[yaml]': {}, editor: {}, files: {} }

function take(message) {
  if (message.method === 'workspace/configuration') {
    send({ id: message.id, result: message.params.items.map(item => settings[item.section] ?? {}) })
  } else if (message.id !== undefined && message.method !== undefined) {
    send({ id: message.id, result: null })
  } else if (message.id === 1) {
    send({ method: 'initialized', params: {} })
    send({ method: 'workspace/didChangeConfiguration', params: { settings } })
    files.forEach((file, at) => {
      const textDocument = { uri: uris[at], languageId: 'yaml', version: 1, text: fs.readFileSync(file, 'utf8') }
      send({ method: 'textDocument/didOpen', params: { textDocument } })
    })
    // An answer about a file comes behind what is marked in it.
    files.forEach((_, at) => send({ id: 100 + at, method: 'textDocument/documentSymbol', params: { textDocument: { uri: uris[at] } } }))
  } else if (message.method === 'textDocument/publishDiagnostics') {
    marked.set(message.params.uri, message.params.diagnostics)
    if (uris.every(uri => marked.has(uri))) finish()
  }
}

function finish() {
  for (const uri of uris) {
    const found = marked.get(uri).map(one => ({ line: one.range.start.line + 1, message: one.message, source: one.source }))
    console.log(JSON.stringify(found))
  }
  server.kill()
  process.exit(0)
}

let heard = Buffer.alloc(0)
server.stdout.on('data', chunk => {
  heard = Buffer.concat([heard, chunk])
  for (;;) {
    const end = heard.indexOf('\r\n\r\n')
    if (end < 0) return
    const length = Number(/Content-Length: (\d+)/i.exec(heard.toString('latin1', 0, end))[1])
    if (heard.length < end + 4 + length) return
    const body = heard.toString('utf8', end + 4, end + 4 + length)
    heard = heard.subarray(end + 4 + length)
    take(JSON.parse(body))
  }
})
server.on('exit', code => {
  console.error(`the language server ended with ${code}`)
  process.exit(2)
})
setTimeout(() => {
  console.error(`nothing came about ${uris.filter(uri => !marked.has(uri)).join(', ')}`)
  process.exit(2)
}, 60_000).unref()

send({ id: 1, method: 'initialize', params: { processId: process.pid, rootUri: null, capabilities: { workspace: { configuration: true } } } })
