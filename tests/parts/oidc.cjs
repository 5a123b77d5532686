// An OpenID provider that checks client assertions, with a job list behind its tokens: `node oidc.cjs PARTS CLIENT=CERT...`.
//
// Serves on loopback until its input ends. On stdout, lines of JSON: first `{"url"}`, then each `{"granted"}`, `{"refused"}` and
// `{"read"}`.
'use strict';

const { X509Certificate } = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { pathToFileURL } = require('url');

const [parts, ...registered] = process.argv.slice(2);
const SCOPE = 'autodiscovery.readwrite.all';
const say = (line) => console.log(JSON.stringify(line));
// The provider's own words are no lines of JSON.
console.info = console.error;

function client(entry) {
  const [client_id, file] = entry.split('=');
  const certificate = new X509Certificate(fs.readFileSync(file));
  const kid = certificate.fingerprint.replaceAll(':', '');
  return {
    client_id,
    jwks: { keys: [{ ...certificate.publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid }] },
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'RS256',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: SCOPE,
  };
}

const server = http.createServer();
server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const { default: Provider } = await import(pathToFileURL(path.join(parts, 'node_modules/oidc-provider/lib/index.js')));
  const provider = new Provider(url, {
    clients: registered.map(client),
    scopes: [SCOPE],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    routes: { token: '/connect/token' },
  });
  provider.on('grant.success', (ctx) => say({ granted: ctx.oidc.client.clientId }));
  provider.on('grant.error', (ctx, error) => say({ refused: error.error_detail ?? error.message }));
  const own = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url.startsWith('/aos/jobs')) return own(request, response);
    const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    const token = await provider.ClientCredentials.find(bearer);
    const good = token?.isValid && token.scope === SCOPE;
    if (good) say({ read: token.clientId });
    response.writeHead(good ? 200 : 401, { 'content-type': 'application/json' });
    return response.end(good ? '{"jobs":[{"id":"Scan1","state":2}],"nextLink":null,"totalCount":1}' : '{}');
  });
  say({ url });
});
process.stdin.resume().on('end', () => process.exit(0));
