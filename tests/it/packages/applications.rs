//! Packages that applications are made with: as modules, with the stylesheets, fonts, images, chunks and workers that they bring.

use libtest_mimic::Trial;
use serde_json::json;

use super::{page, shows, site};
use crate::setup::Need;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        [Need::Packages, Need::Browser];
        katex_sets_formulas_in_its_fonts,
        leaflet_shows_a_map_with_its_icons,
        mermaid_draws_with_what_it_loads_later,
        monaco_colours_and_completes_with_its_workers,
        react_and_lodash_in_tsx,
        reveal_shows_slides_with_its_plugins,
        swagger_ui_shows_a_document,
    ]
}

fn katex_sets_formulas_in_its_fonts() {
    let site = site()
        .asset(
            "js/app.ts",
            r"
            import 'katex/dist/katex.css';
            import katex from 'katex';
            import renderMathInElement from 'katex/contrib/auto-render';
            katex.render(String.raw`\int_0^\infty e^{-x^2}\,dx`, document.querySelector('#one')!, { displayMode: true });
            const delimiters = [{ left: '$', right: '$', display: false }];
            renderMathInElement(document.querySelector('#two')!, { delimiters });
            ",
        )
        .template(
            "index.html",
            page("{{ asset_tags('js/app.ts') }}", r"<p id=one></p><p id=two>and $\mathcal{F}(x) = \mathbb{R}$</p>"),
        );
    shows(
        &site,
        "document.querySelectorAll('.katex').length === 2",
        "await document.fonts.ready; return ['loaded', 'error'].map((status) => [...document.fonts].filter((font) => font.status === status).map((font) => font.family).sort())",
        json!([["KaTeX_AMS", "KaTeX_Caligraphic", "KaTeX_Main", "KaTeX_Math", "KaTeX_Size2"], []]),
    );
}

/// Leaflet looks for its marker beside the image that its stylesheet names, under the name that it had there. A page has to say
/// where it is, as with every bundler that renames files. The controls' images come by the stylesheet.
fn leaflet_shows_a_map_with_its_icons() {
    let site = site()
        .asset(
            "js/app.ts",
            r"
            import 'leaflet/dist/leaflet.css';
            import * as L from 'leaflet';
            import iconRetinaUrl from 'leaflet/dist/images/marker-icon-2x.png?url';
            import iconUrl from 'leaflet/dist/images/marker-icon.png?url';
            import shadowUrl from 'leaflet/dist/images/marker-shadow.png?url';

            delete (L.Icon.Default.prototype as any)._getIconUrl;
            L.Icon.Default.mergeOptions({ iconRetinaUrl, iconUrl, shadowUrl });
            const Painted = L.GridLayer.extend({ createTile: () => document.createElement('canvas') });
            const map = L.map('map', { zoomAnimation: false, fadeAnimation: false }).setView([51.5, -0.1], 13);
            new Painted().addTo(map);
            L.marker([51.5, -0.1]).addTo(map).bindPopup('here').openPopup();
            L.control.layers({ painted: new Painted() }).addTo(map);
            ",
        )
        .template(
            "index.html",
            page("{{ asset_tags('js/app.ts') }}<style>#map { height: 300px }</style>", "<div id=map></div>"),
        );
    shows(
        &site,
        "['icon', 'shadow'].every((part) => document.querySelector(`.leaflet-marker-${part}`)?.complete)",
        r"
        const layers = new Image();
        layers.src = getComputedStyle(document.querySelector('.leaflet-control-layers-toggle')).backgroundImage.slice(5, -2);
        await layers.decode();
        const width = (part) => document.querySelector(`.leaflet-marker-${part}`).naturalWidth;
        const popup = document.querySelector('.leaflet-popup-content').textContent;
        return [width('icon'), width('shadow'), layers.naturalWidth, popup, document.querySelectorAll('canvas').length > 0];
        ",
        json!([25, 41, 26, "here", true]),
    );
}

fn mermaid_draws_with_what_it_loads_later() {
    let site = site()
        .asset(
            "js/app.ts",
            r"
            import mermaid from 'mermaid';
            mermaid.initialize({ startOnLoad: false });
            await mermaid.run({ querySelector: 'pre' });
            document.body.dataset.drawn = 'yes';
            ",
        )
        .template(
            "index.html",
            page(
                "{{ asset_tags('js/app.ts') }}",
                "<pre>flowchart LR\nA[Start] --> B{Choice} --> C[End]</pre>\
                 <pre>sequenceDiagram\nAlice->>Bob: Hello</pre>\
                 <pre>mindmap\n  root((Posts))\n    Paths</pre>",
            ),
        );
    let dist = shows(
        &site,
        "document.body.dataset.drawn",
        r"
        const words = (svg) => ['Choice', 'Hello', 'Posts'].filter((word) => svg.textContent.includes(word));
        return [...document.querySelectorAll('pre svg')].map((svg) => [svg.getAttribute('aria-roledescription'), ...words(svg)]);
        ",
        json!([["flowchart-v2", "Choice"], ["sequence", "Hello"], ["mindmap", "Posts"]]),
    );
    let scripts = dist.names().iter().filter(|name| name.ends_with(".js")).count();
    assert!(scripts > 20, "each type of diagram is a chunk of its own: {scripts}");
}

fn monaco_colours_and_completes_with_its_workers() {
    let site = site()
        .asset(
            "js/app.ts",
            r#"
            import * as monaco from 'monaco-editor';

            self.MonacoEnvironment = {
              getWorker(_: string, label: string) {
                return label === 'typescript'
                  ? new Worker(new URL('monaco-editor/languages/features/typescript/ts.worker.js', import.meta.url), { type: 'module' })
                  : new Worker(new URL('monaco-editor/editor/editor.worker.js', import.meta.url), { type: 'module' });
              },
            };
            const uri = monaco.Uri.parse('file:///post.ts');
            const model = monaco.editor.createModel('const post = "sign";\npost.', 'typescript', uri);
            monaco.editor.create(document.querySelector('#editor')!, { model });

            // It is an error until the language is registered, and nothing tells when that is.
            const registered = () => monaco.typescript.getTypeScriptWorker().catch(() => null);
            let worker;
            while (!(worker = await registered())) await new Promise((later) => setTimeout(later, 50));
            const client = await worker(uri);
            const { entries } = await client.getCompletionsAtPosition(uri.toString(), model.getValueLength());
            document.body.dataset.completions = entries.map((entry: { name: string }) => entry.name).join(' ');
            "#,
        )
        .template(
            "index.html",
            page("{{ asset_tags('js/app.ts') }}", "<div id=editor style='height: 200px'></div>"),
        );
    shows(
        &site,
        "document.body.dataset.completions && document.querySelectorAll('.view-line').length === 2",
        r"
        const spans = [...document.querySelectorAll('.view-line span span')];
        const colour = (text) => getComputedStyle(spans.find((span) => span.textContent.includes(text))).color;
        return [colour('const') !== colour('sign'), document.body.dataset.completions.includes('toUpperCase')];
        ",
        json!([true, true]),
    );
}

fn react_and_lodash_in_tsx() {
    let site = site()
        .asset(
            "js/app.tsx",
            r"
            import { chunk } from 'lodash-es';
            import { StrictMode, Suspense, lazy, useEffect, useState } from 'react';
            import { createRoot } from 'react-dom/client';

            const Later = lazy(() => import('./later'));

            function Counter({ start }: { start: number }) {
              const [count, setCount] = useState(start);
              useEffect(() => { document.title = `count ${count}` }, [count]);
              return <button onClick={() => setCount((count) => count + 1)}>{count}: {JSON.stringify(chunk([1, 2, 3], 2))}</button>;
            }

            createRoot(document.querySelector('#root')!).render(
              <StrictMode><Counter start={41} /><Suspense fallback={<i>not yet</i>}><Later /></Suspense></StrictMode>,
            );
            ",
        )
        .asset(
            "js/later.tsx",
            "import { capitalize } from 'lodash-es';\n\
             export default function Later() { return <p>{capitalize('LATER')}</p> }\n",
        )
        .template("index.html", page("{{ asset_tags('js/app.tsx') }}", "<div id=root></div>"));
    let dist = shows(
        &site,
        "document.querySelector('#root p') && document.title === 'count 41'",
        r"
        document.querySelector('button').click();
        for (let i = 0; i < 100 && document.title !== 'count 42'; i++) await new Promise((r) => setTimeout(r, 20));
        return [document.title, document.querySelector('button').textContent, document.querySelector('p').textContent];
        ",
        json!(["count 42", "42: [[1,2],[3]]", "Later"]),
    );
    for script in dist.names().iter().filter(|name| name.ends_with(".js")) {
        // A message of `debounce`, and a property of `template`: nothing here uses them.
        for unused in ["Expected a function", "sourceURL", "__wrapped__"] {
            assert!(!dist.read(script).contains(unused), "{unused} in {script}");
        }
    }
}

fn reveal_shows_slides_with_its_plugins() {
    let site = site()
        .asset(
            "js/app.ts",
            r"
            import 'reveal.js/reveal.css';
            import 'reveal.js/theme/black.css';
            import 'reveal.js/plugin/highlight/monokai.css';
            import Reveal from 'reveal.js';
            import Highlight from 'reveal.js/plugin/highlight';
            import Markdown from 'reveal.js/plugin/markdown';
            const deck = new Reveal({ plugins: [Markdown, Highlight] });
            await deck.initialize();
            deck.next();
            document.body.dataset.slide = String(deck.getIndices().h);
            ",
        )
        .template(
            "index.html",
            page(
                "{{ asset_tags('js/app.ts') }}",
                "<div class=reveal><div class=slides><section>one</section><section data-markdown>\
                 <script type='text/template'>## two\n```js\nconst a = 1;\n```\n</script></section></div></div>",
            ),
        );
    shows(
        &site,
        "document.body.dataset.slide",
        r"
        await document.fonts.ready;
        const heading = document.querySelector('section.present h2');
        const fonts = [...document.fonts].filter((font) => font.status === 'loaded').map((font) => font.family);
        const keyword = getComputedStyle(document.querySelector('.hljs-keyword')).color;
        return [document.body.dataset.slide, heading.textContent, keyword, [...new Set(fonts)].join()];
        ",
        json!(["1", "two", "rgb(249, 38, 114)", "Source Sans Pro"]),
    );
}

fn swagger_ui_shows_a_document() {
    let document = json!({
        "openapi": "3.0.3",
        "info": { "title": "Signposts", "version": "1" },
        "paths": { "/posts/{id}": { "get": {
            "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } }],
            "responses": { "200": { "description": "a post" } },
        } } },
    });
    let site = site()
        .asset("public/openapi.json", document.to_string())
        .asset(
            "js/app.ts",
            "import 'swagger-ui-dist/swagger-ui.css';\n\
             import SwaggerUI from 'swagger-ui-dist/swagger-ui-es-bundle.js';\n\
             SwaggerUI({ url: '/openapi.json', dom_id: '#ui', docExpansion: 'full' });\n",
        )
        .template("index.html", page("{{ asset_tags('js/app.ts') }}", "<div id=ui></div>"));
    shows(
        &site,
        "document.querySelector('.parameter__name')",
        r"
        const text = (selector) => document.querySelector(selector).textContent.replace(/\s/g, '');
        const colour = getComputedStyle(document.querySelector('.opblock-summary-method')).backgroundColor;
        return [text('.opblock-summary-path'), text('.parameter__name'), colour];
        ",
        json!(["/posts/{id}", "id*", "rgb(97, 175, 254)"]),
    );
}
