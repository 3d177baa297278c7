// From here on it is the same for every site.

// Whatever is at a path: `[file, look, codings]`, or `[where to go]`. The list is compared as it is written, fingerprinted files by their
// pattern.
async function find(uri) {
    let path = '';
    try {
        path = decodeURIComponent(uri);
    } catch (_) {
        return undefined;
    }
    const listed = await get(path);
    if (listed) return listed;
    for (let index = 0; index < patterns.length; index++) {
        const match = patterns[index][0].exec(path);
        if (match) return [(assets + match[1]).split('/').map(encodeURIComponent).join('/'), patterns[index][1], ''];
    }
}

// The header fields of a look. A long value is in pieces.
async function fieldsOf(look) {
    const headers = {};
    const numbers = await get('look ' + look);
    for (let index = 0; numbers && index < numbers.length; index++) {
        const field = await get('field ' + numbers[index]);
        let value = field[1];
        for (let piece = 1; piece < field[2]; piece++) {
            value += await get('field ' + numbers[index] + ' ' + piece);
        }
        headers[field[0]] = value;
    }
    return headers;
}

// RFC 9110 section 12.5.3: the coding of those there are that is liked best, the first of equals.
function coding(accepted, codings) {
    const weights = {};
    accepted.toLowerCase().split(',').forEach(item => {
        const parts = item.split(';');
        const q = parts.slice(1).map(part => /^\s*q=([0-9.]+)\s*$/.exec(part)).find(found => found);
        weights[parts[0].trim()] = q ? Number(q[1]) : 1;
    });
    let best = '';
    let weight = 0;
    codings.split(' ').forEach(name => {
        const q = name in weights ? weights[name] : weights['*'];
        if (name && q > weight) {
            best = name;
            weight = q;
        }
    });
    return 'identity' in weights && weights.identity > weight ? '' : best;
}

function set(response, headers) {
    Object.keys(headers).forEach(name => {
        response.headers[name] = { value: headers[name] };
    });
    if (hsts) response.headers['strict-transport-security'] = { value: hsts };
    return response;
}

function answer(status, description, headers, body) {
    const out = { statusCode: status, statusDescription: description, headers: {} };
    if (body) out.body = { encoding: 'text', data: body };
    return set(out, headers);
}

function plain() {
    return {
        'content-type': 'text/plain; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
    };
}

function query(querystring) {
    const out = [];
    Object.keys(querystring).forEach(name => {
        (querystring[name].multiValue || [querystring[name]]).forEach(one => {
            out.push(one.value === '' ? name : name + '=' + one.value);
        });
    });
    return out.length ? '?' + out.join('&') : '';
}

async function preflight(request, found) {
    const headers = { allow: 'GET, HEAD, OPTIONS', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
    const origin = found && found.length > 1 && (await fieldsOf(found[1]))['access-control-allow-origin'];
    if (origin && request.headers.origin && request.headers['access-control-request-method']) {
        headers['access-control-allow-origin'] = origin;
        headers['access-control-allow-methods'] = 'GET, HEAD, OPTIONS';
        headers['access-control-allow-headers'] = 'if-match, if-none-match, if-range, range';
        headers['access-control-max-age'] = '86400';
    }
    return answer(204, 'No Content', headers);
}

async function ask(request) {
    const found = await find(request.uri);
    if (request.method === 'OPTIONS') return preflight(request, found);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
        const headers = plain();
        headers.allow = 'GET, HEAD, OPTIONS';
        return answer(405, 'Method Not Allowed', headers, '405 Method Not Allowed\n');
    }
    if (!found) return answer(404, 'Not Found', lost[0] === null ? plain() : await fieldsOf(lost[0]), lost[1]);
    if (found.length === 1) {
        const location = found[0] + query(request.querystring);
        const headers = { location: location, 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' };
        return answer(308, 'Permanent Redirect', headers);
    }
    const accepted = request.headers['accept-encoding'];
    const all = accepted ? accepted.multiValue || [accepted] : [];
    const best = coding(all.map(one => one.value).join(','), found[2]);
    request.headers['fingerpost-uri'] = { value: request.uri };
    request.uri = found[0] + (best ? '.' + extensions[best] : '');
    return request;
}

// The request is the viewer's, or what this function made of it.
async function complete(request, response) {
    const asked = request.headers['fingerpost-uri'];
    const found = await find(asked ? asked.value : request.uri);
    if (!found || found.length === 1) return set(response, {});
    if (found[2]) response.headers.vary = { value: 'accept-encoding' };
    return set(response, await fieldsOf(found[1]));
}

async function handler(event) {
    const isResponse = event.context.eventType === 'viewer-response';
    return isResponse ? complete(event.request, event.response) : ask(event.request);
}
