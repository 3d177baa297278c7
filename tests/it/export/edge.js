// An edge of CloudFront, as its documentation tells of it, before a bucket that is a folder: reads the function's path, the bucket's, and
// requests as `[{method, uri, headers, querystring}]` from the command line; writes what each is answered with as JSON.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
const { readFileSync } = require('fs');
const { join } = require('path');
const vm = require('vm');

const [code, bucket, requests, pairs] = process.argv.slice(2);
const values = pairs && new Map(JSON.parse(readFileSync(pairs, 'utf8')).data.map(({ key, value }) => [key, value]));
const kvs = () => ({
    async get(key) {
        if (!values.has(key)) throw new Error('KeyNotFound');
        return values.get(key);
    },
});
const context = vm.createContext({ cf: { kvs } });
// The one module that there is.
const text = readFileSync(code, 'utf8').replace("import cf from 'cloudfront';", '');
if (text.length > 10240) throw new Error(`${text.length} bytes`);
vm.runInContext(text, context);

async function call(eventType, request, response) {
    const event = { version: '1.0', context: { eventType }, viewer: { ip: '198.51.100.11' }, request };
    if (response) event.response = response;
    // What comes back has gone through JSON there, too.
    return JSON.parse(JSON.stringify(await context.handler(event)));
}

function stored(uri) {
    const codings = { br: 'br', zst: 'zstd', gz: 'gzip' };
    const coding = codings[uri.split('.').pop()];
    try {
        const body = readFileSync(join(bucket, decodeURIComponent(uri)));
        const headers = coding ? { 'content-encoding': { value: coding } } : {};
        return { statusCode: 200, headers, body };
    } catch (error) {
        return { statusCode: 403, headers: {}, body: Buffer.from('AccessDenied') };
    }
}

async function answer(asked) {
    const request = { method: asked.method, uri: asked.uri, querystring: asked.querystring, headers: {}, cookies: {} };
    for (const [name, value] of asked.headers) request.headers[name] = { value };
    const first = await call('viewer-request', JSON.parse(JSON.stringify(request)));
    if (first.statusCode) return { ...first, body: first.body ? first.body.data : '' };
    if (first.method !== asked.method || !first.uri.startsWith('/')) throw new Error(`not a request: ${first.uri}`);
    const { body, ...response } = stored(first.uri);
    // The function is not asked about what the bucket refuses.
    const last = response.statusCode < 400 ? await call('viewer-response', asked.isOwn ? request : first, response) : response;
    if (last.statusCode !== response.statusCode) throw new Error('an answer to a viewer keeps its status');
    return { ...last, body: body.toString('base64'), isBase64: true };
}

(async () => {
    const answers = [];
    for (const asked of JSON.parse(requests)) answers.push(await answer(asked));
    console.log(JSON.stringify(answers));
})();
