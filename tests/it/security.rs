//! What answers tell browsers and CDNs: policies, preloads, other origins, tags; and which environment a request is for.

use libtest_mimic::Trial;

use crate::browser::{Page, browse};
use crate::http::{get, request};
use crate::setup::Need;
use crate::site::{Server, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        every_answer_says_what_it_may,
        a_glob_sets_headers_and_leaves_them_out,
        a_glob_sets_hsts_and_leaves_it_out,
        the_policy_can_be_reported_and_turned_off,
        pages_name_what_they_need,
        assets_for_other_origins_let_them_in,
        cdns_are_told_what_to_keep_and_what_to_purge,
        hosts_choose_the_environment,
        hosts_that_nobody_has_are_refused,
        trusted_proxies_are_believed,
        a_loop_is_stopped,
        mistakes_are_found_at_the_start,
    ];
    trials.extend(trials![
        [Need::Browser];
        a_page_of_everything_works_under_its_policy,
        a_page_of_everything_works_with_assets_of_another_origin,
        the_new_site_works_under_its_policy,
        a_script_that_is_put_into_the_page_is_refused,
        strict_styles_are_strict,
        integrity_is_demanded,
        preloads_are_used,
    ]);
    trials
}

const LISTEN: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn serve(site: &Site, environment: &str) -> Server {
    site.serve(&[&LISTEN[..], &["--env", environment]].concat())
}

fn small() -> Site {
    Site::new()
        .asset("css/a.css", "a { color: red }\n")
        .asset("js/a.ts", "console.info('a')\n")
        .asset("public/robots.txt", "User-agent: *\n")
        .template(
            "index.html",
            "<!doctype html><title>home</title>{{ asset_tags('css/a.css', 'js/a.ts') }}<script>self.x = 1</script>",
        )
        .template("404.html", "<!doctype html><title>lost</title>")
}

const ELSEWHERE: &str = "[env.production]\nasset_base = 'https://cdn.example.com/'\n";

fn every_answer_says_what_it_may() {
    let site = small();
    let css = format!("/{}", site.build(&[]).named("css/a.css"));
    let server = site.serve(&LISTEN);
    for path in ["/", "/missing", "/robots.txt", &css, "/%00"] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
            let answer = request(&server.address, method, path, &[]);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        }
    }
    for path in ["/", "/missing"] {
        let page = get(&server.address, path, &[]);
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("object-src 'none'") && policy.contains("frame-ancestors 'self'"), "{path}: {policy}");
        for (name, value) in [
            ("x-frame-options", "SAMEORIGIN"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cross-origin-opener-policy", "same-origin-allow-popups"),
            ("cross-origin-resource-policy", "same-origin"),
            ("origin-agent-cluster", "?1"),
        ] {
            assert_eq!(page.header(name), Some(value), "{path}: {name}");
        }
        assert!(page.header("permissions-policy").is_some_and(|value| value.starts_with("camera=(self)")));
        // This server speaks no TLS here.
        assert_eq!(page.header("strict-transport-security"), None);
    }
    let etag = get(&server.address, "/", &[]).header("etag").expect("an etag").to_owned();
    let unchanged = get(&server.address, "/", &[("if-none-match", &etag)]);
    assert_eq!(unchanged.status, 304);
    assert!(unchanged.header("content-security-policy").is_some(), "a 304 renews the headers that are stored");
}

fn a_glob_sets_headers_and_leaves_them_out() {
    let site = small().config(
        "[[headers]]\nmatch = '*.html'\nset = { 'X-Frame-Options' = '', 'Referrer-Policy' = 'no-referrer' }\n\
         unset = ['Permissions-Policy', 'link']\n[[headers]]\nmatch = '404.html'\nset = { 'content-security-policy' = \"default-src 'none'\" }\n",
    );
    site.build(&[]);
    let server = site.serve(&LISTEN);
    let page = get(&server.address, "/", &[]);
    for (name, want) in [
        ("x-frame-options", None),
        ("permissions-policy", None),
        ("link", None),
        ("referrer-policy", Some("no-referrer")),
    ] {
        assert_eq!(page.header(name), want, "{name}");
    }
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("'sha256-")));
    assert_eq!(get(&server.address, "/missing", &[]).header("content-security-policy"), Some("default-src 'none'"));
}

fn a_glob_sets_hsts_and_leaves_it_out() {
    const HSTS: &str = "strict-transport-security";
    let site = small().template("own.html", "<!doctype html><title>own</title>").config(
        "[serve]\ntrusted_proxies = ['127.0.0.0/8']\n[env.production]\n\
         [[headers]]\nmatch = 'own.html'\nset = { 'Strict-Transport-Security' = 'max-age=60; includeSubDomains' }\n\
         [[headers]]\nmatch = 'robots.txt'\nunset = ['Strict-Transport-Security']\n",
    );
    site.build(&[]);
    let server = serve(&site, "production");
    for (path, want) in
        [("/", Some("max-age=31536000")), ("/own", Some("max-age=60; includeSubDomains")), ("/robots.txt", None)]
    {
        let secure = get(&server.address, path, &[("x-forwarded-proto", "https")]);
        assert_eq!((secure.status, secure.all(HSTS)), (200, Vec::from_iter(want)), "{path}");
        let clear = get(&server.address, path, &[]);
        assert_eq!((clear.status, clear.header(HSTS)), (200, None), "{path}");
    }
}

fn the_policy_can_be_reported_and_turned_off() {
    let site = small().config(
        "[security]\npolicy = 'report-only'\nreport_to = 'https://r.example/csp'\nframe_ancestors = \"'none'\"\n\
         allow = { connect-src = ['http://127.0.0.1:9'] }\n[env.off.security]\npolicy = 'off'\n",
    );
    site.build(&[]);
    let reporting = site.serve(&LISTEN);
    let page = get(&reporting.address, "/", &[]);
    let policy = page.header("content-security-policy-report-only").expect("a policy");
    assert!(policy.contains("report-to fingerpost") && policy.contains(" http://127.0.0.1:9"), "{policy}");
    assert_eq!(page.header("reporting-endpoints"), Some("fingerpost=\"https://r.example/csp\""));
    assert_eq!((page.header("content-security-policy"), page.header("x-frame-options")), (None, Some("DENY")));
    let off = get(&serve(&site, "off").address, "/", &[]);
    assert_eq!(
        (off.header("content-security-policy"), off.header("content-security-policy-report-only")),
        (None, None)
    );
}

fn pages_name_what_they_need() {
    let site = small().config(&format!("{ELSEWHERE}[env.quiet]\npreload_headers = false\n"));
    let dist = site.build(&[]);
    let (css, script) = (dist.named("css/a.css"), dist.named("js/a.ts"));
    let link = |environment: &str| get(&serve(&site, environment).address, "/", &[]).header("link").map(str::to_owned);
    let here = link("development").expect("a link");
    assert!(here.starts_with(&format!("</{css}>; rel=preload; as=style")), "{here}");
    assert!(here.contains(&format!("</{script}>; rel=")), "{here}");
    let there = link("production").expect("a link");
    assert!(
        there.contains(&format!(
            "<https://cdn.example.com/{css}>; rel=preload; as=style; crossorigin; integrity=\"sha256-"
        )),
        "{there}"
    );
    assert_eq!(link("quiet"), None);
}

fn assets_for_other_origins_let_them_in() {
    let site = small().config(ELSEWHERE);
    let css = format!("/{}", site.build(&[]).named("css/a.css"));
    let server = serve(&site, "production");
    let from = [("origin", "https://www.example.com")];
    for path in [css.as_str(), "/static/css/a.css"] {
        let asset = get(&server.address, path, &from);
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("timing-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
        ] {
            assert_eq!(asset.header(name), Some(value), "{path}: {name}");
        }
        assert!(!asset.header("vary").unwrap_or_default().contains("origin"), "the answer is the same for all");
    }
    let asks = [from[0], ("access-control-request-method", "GET"), ("access-control-request-headers", "range")];
    let preflight = request(&server.address, "OPTIONS", &css, &asks);
    assert_eq!((preflight.status, preflight.header("access-control-max-age")), (204, Some("86400")));
    assert!(preflight.header("access-control-allow-headers").is_some_and(|names| names.contains("range")));
    assert_eq!(request(&server.address, "OPTIONS", "/", &asks).header("access-control-allow-origin"), None);
    assert_eq!(get(&server.address, "/", &from).header("access-control-allow-origin"), None);
    let own = get(&serve(&site, "development").address, &css, &from);
    assert_eq!(
        (own.header("access-control-allow-origin"), own.header("cross-origin-resource-policy")),
        (None, Some("same-site"))
    );
}

fn cdns_are_told_what_to_keep_and_what_to_purge() {
    let site = small().config(
        "[env.production]\ncdn_cache_control = 'max-age=60'\nsurrogate_control = 'max-age=90'\nstale_while_revalidate = 5\nstale_if_error = 3600\n\
         cdn_tags = ['surrogate-key', 'cache-tag', 'edge-cache-tag']\n",
    );
    let dist = site.build(&[]);
    let release = dist.manifest()["release"].as_str().expect("a release").to_owned();
    let server = serve(&site, "production");
    let page = get(&server.address, "/", &[]);
    for (name, value) in [
        ("cache-control", "public, max-age=0, stale-while-revalidate=5, stale-if-error=3600".to_owned()),
        ("cdn-cache-control", "max-age=60, stale-while-revalidate=5, stale-if-error=3600".to_owned()),
        ("surrogate-control", "max-age=90, stale-while-revalidate=5, stale-if-error=3600".to_owned()),
        ("surrogate-key", format!("pages page-index.html release-{release}")),
        ("cache-tag", format!("pages,page-index.html,release-{release}")),
        ("edge-cache-tag", format!("pages,page-index.html,release-{release}")),
    ] {
        assert_eq!(page.header(name), Some(value.as_str()), "{name}");
    }
    let asset = get(&server.address, &format!("/{}", dist.named("css/a.css")), &[]);
    assert_eq!(asset.header("cache-tag"), Some("assets"));
    assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let lost = get(&server.address, "/missing", &[]);
    assert_eq!(
        (lost.header("cache-control"), lost.header("cache-tag"), lost.header("surrogate-control")),
        (Some("no-store"), None, None)
    );
}

fn hosted() -> Site {
    Site::new().asset("css/a.css", "a { color: red }\n").template(
        "index.html",
        "<!doctype html><meta name='fingerpost:environment' content=''>{{ asset_tags('css/a.css') }}",
    )
}

const HOSTS: &str = "[env.staging]\nhosts = ['staging.example.com', '*.preview.example.com']\nasset_base = 'https://s.example.com/'\n\
     [env.production]\nhosts = ['www.example.com']\nasset_base = 'https://cdn.example.com/'\n";

/// The environment that a page says it is of, or the status.
fn environment(server: &Server, headers: &[(&str, &str)]) -> String {
    let page = crate::http::with_host(&server.address, "/", headers);
    match page.status {
        200 => {
            let text = page.text();
            let start = text.find("fingerpost:environment").expect("a stamp");
            let content = text[start..].split("content=").nth(1).expect("a content");
            content.trim_start_matches('"').split(['"', '>', ' ']).next().unwrap_or_default().to_owned()
        }
        status => status.to_string(),
    }
}

fn hosts_choose_the_environment() {
    let site = hosted().config(HOSTS);
    let css = site.build(&[]).named("css/a.css");
    let server = site.serve(&LISTEN);
    for (host, want) in [
        ("www.example.com", "production"),
        ("WWW.example.com:8080", "production"),
        ("staging.example.com", "staging"),
        ("pr-7.preview.example.com", "staging"),
        ("preview.example.com", "development"),
        ("127.0.0.1", "development"),
    ] {
        assert_eq!(environment(&server, &[("host", host)]), want, "{host}");
        let asset = crate::http::with_host(&server.address, &format!("/{css}"), &[("host", host)]);
        assert_eq!(asset.status, 200);
    }
    // Who names one gets that, whatever the host.
    let pinned = serve(&site, "staging");
    assert_eq!(environment(&pinned, &[("host", "www.example.com")]), "staging");
    // All of them are replaced at once.
    site.write(
        "templates/index.html",
        "<!doctype html><meta name='fingerpost:environment' content=''>new{{ asset_tags('css/a.css') }}",
    );
    site.build(&[]);
    server.signal(rustix::process::Signal::HUP);
    server.wait_for("reloaded");
    for host in ["www.example.com", "staging.example.com", "x"] {
        assert!(crate::http::with_host(&server.address, "/", &[("host", host)]).text().contains("new"), "{host}");
    }
}

fn hosts_that_nobody_has_are_refused() {
    let site = hosted().config(&format!("{HOSTS}[serve]\nunknown_host = 'refuse'\n"));
    site.build(&[]);
    let server = site.serve(&LISTEN);
    assert_eq!(environment(&server, &[("host", "www.example.com")]), "production");
    assert_eq!(environment(&server, &[("host", "other.example.com")]), "421");
    assert_eq!(environment(&server, &[("host", "a b")]), "400");
    site.write("fingerpost.toml", format!("{HOSTS}[serve]\nunknown_host = 'production'\n"));
    let server = site.serve(&LISTEN);
    assert_eq!(environment(&server, &[("host", "other.example.com")]), "production");
}

fn trusted_proxies_are_believed() {
    let site =
        hosted().config(&format!("{HOSTS}[serve]\ntrusted_proxies = ['127.0.0.0/8']\nunknown_host = 'production'\n"));
    site.build(&[]);
    let server = site.serve(&LISTEN);
    let forwarded = [
        ("host", "a"),
        ("x-forwarded-host", "staging.example.com"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "203.0.113.7"),
    ];
    assert_eq!(environment(&server, &forwarded), "staging");
    let page = crate::http::with_host(&server.address, "/", &forwarded);
    assert_eq!(page.header("strict-transport-security"), Some("max-age=31536000"));
    assert_eq!(crate::http::with_host(&server.address, "/", &forwarded[..2]).header("strict-transport-security"), None);
    // Without that, anybody could say so.
    site.write("fingerpost.toml", format!("{HOSTS}[serve]\nunknown_host = 'production'\n"));
    let server = site.serve(&LISTEN);
    assert_eq!(environment(&server, &forwarded), "production");
    let page = crate::http::with_host(&server.address, "/", &forwarded);
    assert_eq!(page.header("strict-transport-security"), None);
}

fn a_loop_is_stopped() {
    let site = hosted().config("[serve]\ncdn_id = 'edge1.example.com'\n");
    site.build(&[]);
    let server = site.serve(&LISTEN);
    assert_eq!(get(&server.address, "/", &[("cdn-loop", "cloudflare, Edge1.example.com; x=1")]).status, 508);
    assert_eq!(get(&server.address, "/", &[("cdn-loop", "cloudflare")]).status, 200);
}

fn mistakes_are_found_at_the_start() {
    for (config, want) in [
        ("[serve]\ntrusted_proxies = ['10.0.0']\n", "`10.0.0` is no network"),
        ("[env.a]\nhosts = ['x']\n[env.b]\nhosts = ['x']\n", "two environments have the host `x`"),
        ("[security]\nallow = { scripts = ['x'] }\n", "there is no directive `scripts`"),
    ] {
        let run = hosted().config(config).run(&LISTEN);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(want) && run.stderr.contains("help:"), "{}", run.stderr);
    }
}

/// A page with one of everything that a policy is asked about, that says in its `dataset` what has worked.
fn everything() -> Site {
    Site::new()
        .asset("css/a.css", "#sheet { color: rgb(1, 2, 3); background: url(../img/p.svg) }\n")
        .asset("css/later.css", "#later { color: rgb(4, 5, 6) }\n")
        .asset("img/p.svg", "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'><rect width='8' height='8'/></svg>")
        .asset("js/classic.js", "document.documentElement.dataset.classic = 'yes';\n")
        .asset("js/worker.ts", "import { twice } from './twice.ts';\nonmessage = ({ data }) => postMessage(twice(data));\n")
        .asset("js/twice.ts", "export const twice = (x: number) => 2 * x;\n")
        .asset("js/later.ts", "import '../css/later.css';\nexport const later = () => 'yes';\n")
        .asset(
            "js/app.ts",
            "import { twice } from './twice.ts';\n\
             const set = (name: string, value: unknown) => { document.documentElement.dataset[name] = String(value) };\n\
             set('module', twice(1));\n\
             import('./later.ts').then(({ later }) => set('chunk', later()));\n\
             const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });\n\
             worker.onmessage = ({ data }) => set('worker', data);\n\
             worker.postMessage(21);\n\
             const style = document.createElement('style');\n\
             style.textContent = '#runtime { color: rgb(7, 8, 9) }';\n\
             document.head.append(style);\n\
             document.querySelector('#attribute')!.setAttribute('style', 'color: rgb(10, 11, 12)');\n\
             fetch(new URL('../img/p.svg', import.meta.url)).then((response) => set('fetch', response.status));\n\
             WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).then(() => set('wasm', 'yes'));\n",
        )
        .template(
            "index.html",
            "<!doctype html><html lang=en><head><meta charset=utf-8><title>t</title><link rel=icon href='data:,'>\n\
             <style>\n#inline { color: rgb(13, 14, 15) }\n</style>\n\
             {{ asset_tags('css/a.css', 'js/app.ts') }}\n<script src=\"{{ asset_url('js/classic.js') }}\"></script>\n\
             <script>\n// <!-- é & \"quotes\" -->\ndocument.documentElement.dataset.inline = 'yes';\r\n</script>\n\
             <script type=module>document.documentElement.dataset.inlinemodule = 'yes'</script>\n\
             <script type=speculationrules>{ \"prefetch\": [{ \"urls\": [\"/other\"], \"eagerness\": \"conservative\" }] }</script>\n\
             <script type=application/ld+json>{ \"@context\": \"https://schema.org\" }</script></head>\n\
             <body><p id=sheet>s</p><p id=later>l</p><p id=runtime>r</p><p id=attribute>a</p><p id=inline>i</p><p id=own style='color: rgb(16, 17, 18)'>o</p>\n\
             <button onclick=\"this.dataset.clicked = &quot;yes&quot;\">b</button><a href=\"javascript:void(document.documentElement.dataset.followed = 'yes')\">j</a>\n\
             <img src='/assets/img/p.svg' alt=''><img alt='' src='data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'>\n\
             <iframe title=f srcdoc=\"<script>parent.document.documentElement.dataset.frame = 'yes'</script>\"></iframe></body></html>",
        )
        .template("other.html", "<!doctype html><title>other</title><link rel=icon href='data:,'>")
}

/// Opens the page and checks that all of it works, without a complaint.
async fn all_of_it_works(browser: &Page, address: &str) {
    browser.open(&format!("http://{address}/")).await;
    browser.run("document.querySelector('button').click(); document.querySelector('a').click();").await;
    let told = "const all = document.documentElement.dataset; \
         const names = ['classic', 'module', 'chunk', 'worker', 'fetch', 'wasm', 'inline', 'inlinemodule', 'frame', 'followed'];";
    for name in ["classic", "module", "chunk", "worker", "fetch", "wasm", "inline", "inlinemodule", "frame", "followed"]
    {
        browser.until(&format!("document.documentElement.dataset.{name}")).await;
    }
    browser.until("getComputedStyle(document.querySelector('#later')).color === 'rgb(4, 5, 6)'").await;
    let seen = browser
        .run(&format!(
            "{told} const color = (id) => getComputedStyle(document.getElementById(id)).color;\
             return [names.map((name) => all[name]).join(' '), ['sheet', 'later', 'runtime', 'attribute', 'inline', 'own'].map(color).join(' '),\
               document.querySelector('button').dataset.clicked, [...document.images].every((image) => image.naturalWidth > 0)]"
        ))
        .await;
    assert_eq!(
        seen,
        serde_json::json!([
            "yes 2 yes 42 200 yes yes yes yes yes",
            "rgb(1, 2, 3) rgb(4, 5, 6) rgb(7, 8, 9) rgb(10, 11, 12) rgb(13, 14, 15) rgb(16, 17, 18)",
            "yes",
            true,
        ])
    );
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

fn a_page_of_everything_works_under_its_policy() {
    let site = everything();
    site.build(&["--no-compress"]);
    let server = site.serve(&LISTEN);
    browse(async |browser| all_of_it_works(browser, &server.address).await);
}

fn a_page_of_everything_works_with_assets_of_another_origin() {
    let site = everything();
    // The CDN is another server of the same build, which is asked for what it has: an origin pull.
    site.write("fingerpost.toml", "[env.cdn]\nasset_base = 'http://127.0.0.1:1/'\n");
    site.build(&["--no-compress"]);
    let cdn = serve(&site, "cdn");
    site.write("fingerpost.toml", format!("[env.production]\nasset_base = 'http://{}/'\n", cdn.address));
    let server = serve(&site, "production");
    browse(async |browser| {
        all_of_it_works(browser, &server.address).await;
        let origins = browser
            .run("return [...new Set(performance.getEntriesByType('resource').filter((e) => e.name.includes('/assets/')).map((e) => new URL(e.name).host))]")
            .await;
        assert_eq!(origins, serde_json::json!([cdn.address]));
    });
    let preview = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    browse(async |browser| all_of_it_works(browser, &preview.address).await);
}

fn the_new_site_works_under_its_policy() {
    let site = Site::new();
    assert_eq!(site.run(&["init"]).code, Some(0));
    let server = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        for path in ["/", "/about"] {
            browser.open(&format!("http://{}{path}", server.address)).await;
            browser.run("await document.fonts.ready; await new Promise((r) => setTimeout(r, 300))").await;
            assert_eq!(browser.complaints().await, Vec::<String>::new(), "{path}");
        }
    });
}

fn a_script_that_is_put_into_the_page_is_refused() {
    let site = everything();
    site.build(&["--no-compress"]);
    let server = site.serve(&LISTEN);
    browse(async |browser| {
        browser.open(&format!("http://{}/", server.address)).await;
        browser.complaints().await;
        let ran = browser
            .run(
                "const put = (html) => document.body.insertAdjacentHTML('beforeend', html);\
                 const script = document.createElement('script'); script.textContent = 'self.injected = 1'; document.body.append(script);\
                 put('<img src=x onerror=\"self.injected = 2\">');\
                 put('<a id=evil href=\"javascript:void(self.injected = 3)\">x</a>'); document.querySelector('#evil').click();\
                 const foreign = document.createElement('script'); foreign.src = 'http://localhost:1/x.js'; document.body.append(foreign);\
                 setTimeout(() => { try { (0, eval)('self.injected = 4') } catch {} });\
                 put('<base href=\"http://localhost:1/\">');\
                 put('<object data=\"/\"></object>');\
                 await new Promise((r) => setTimeout(r, 500)); return [self.injected ?? null, document.baseURI === location.href];",
            )
            .await;
        assert_eq!(ran, serde_json::json!([null, true]));
        let complaints = browser.complaints().await;
        for directive in ["script-src", "base-uri", "object-src"] {
            assert!(complaints.iter().any(|complaint| complaint.contains(directive)), "{directive}: {complaints:#?}");
        }
    });
}

fn strict_styles_are_strict() {
    let site = everything().config("[security]\ninline_styles = false\n");
    site.build(&["--no-compress"]);
    let server = site.serve(&LISTEN);
    browse(async |browser| {
        browser.open(&format!("http://{}/", server.address)).await;
        browser.until("document.documentElement.dataset.module").await;
        let colors = browser
            .run("return ['inline', 'own', 'runtime', 'attribute'].map((id) => getComputedStyle(document.getElementById(id)).color)")
            .await;
        // What the page brought along is applied, and what came later is not.
        assert_eq!(colors, serde_json::json!(["rgb(13, 14, 15)", "rgb(16, 17, 18)", "rgb(0, 0, 0)", "rgb(0, 0, 0)"]));
    });
}

fn integrity_is_demanded() {
    let site = |config: &str| {
        Site::new()
            .config(config)
            .asset("js/a.ts", "document.documentElement.dataset.module = 'yes'; import('./b.ts')\n")
            .asset("js/b.ts", "document.documentElement.dataset.chunk = 'yes'\n")
            .template(
                "index.html",
                "<!doctype html><link rel=icon href='data:,'><title>t</title>{{ asset_tags('js/a.ts') }}",
            )
    };
    let unset = "[[headers]]\nmatch = '*.html'\nunset = ['integrity-policy']\n";
    for (config, policy, want) in [("", Some("blocked-destinations=(script)"), "refused"), (unset, None, "loaded")] {
        let site = site(config);
        let server = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
        assert_eq!(get(&server.address, "/", &[]).header("integrity-policy"), policy);
        browse(async |browser| {
            browser.open(&format!("http://{}/", server.address)).await;
            browser.until("document.documentElement.dataset.chunk").await;
            assert_eq!(browser.complaints().await, Vec::<String>::new());
            // The same bytes, by a URL that nothing vouches for.
            let outcome = browser
                .run(
                    "const script = document.createElement('script'); script.type = 'module';\
                     script.src = `${document.querySelector('script[src]').src}?other`;\
                     return await new Promise((r) => { script.onload = () => r('loaded'); script.onerror = () => r('refused'); document.body.append(script) });",
                )
                .await;
            assert_eq!(outcome, want);
        });
    }
}

/// Each preload is taken up, and nothing is fetched twice.
fn preloads_are_used() {
    let site = everything();
    site.build(&["--no-compress"]);
    let here = site.serve(&LISTEN);
    let there = site.serve(&["preview", "--listen", "127.0.0.1:0"]);
    for server in [&here, &there] {
        browse(async |browser| {
            browser.open(&format!("http://{}/", server.address)).await;
            browser.until("document.documentElement.dataset.chunk").await;
            // Chromium complains of preloads that nobody has used for some seconds.
            browser.run("await new Promise((r) => setTimeout(r, 6000))").await;
            assert_eq!(browser.complaints().await, Vec::<String>::new());
            let early = browser
                .run("return performance.getEntriesByType('resource').filter((e) => e.initiatorType === 'early-hints' || e.initiatorType === 'link').length")
                .await;
            assert!(early.as_u64().is_some_and(|count| count >= 2), "{early}");
        });
    }
}
