//! Packages that load files by paths which they compute at run time, kept as they are with `[[keep]]`.

use libtest_mimic::Trial;
use serde_json::json;

use super::{page, shows, site};
use crate::setup::Need;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        [Need::Packages, Need::Browser];
        ace_loads_its_modes_themes_and_workers,
        mathjax_loads_its_fonts,
    ]
}

fn ace_loads_its_modes_themes_and_workers() {
    let site = site()
        .config(
            "[[keep]]\nfrom = 'node_modules/ace-builds/src-min-noconflict'\nto = 'vendor/ace'\n\
             include = ['ace.js', '*-json.js', 'theme-monokai.js']\n",
        )
        .template(
            "index.html",
            page(
                "<script src=/vendor/ace/ace.js></script>",
                r#"<div id=editor style="height: 200px">{ "a": 1, }</div>
                <script>
                const editor = ace.edit('editor');
                editor.session.setMode('ace/mode/json');
                editor.setTheme('ace/theme/monokai');
                editor.session.on('changeAnnotation', () => {
                    document.body.dataset.told = editor.session.getAnnotations().map((one) => one.text).join();
                });
                </script>"#,
            ),
        );
    shows(
        &site,
        "document.body.dataset.told && document.querySelector('.ace-monokai .ace_numeric')",
        "return [document.body.dataset.told, getComputedStyle(document.querySelector('.ace_numeric')).color]",
        json!(["Trailing comma", "rgb(174, 129, 255)"]),
    );
}

fn mathjax_loads_its_fonts() {
    let site = site()
        .config(
            "[[keep]]\nfrom = 'node_modules/mathjax'\nto = 'vendor/mathjax'\nexclude = ['node-main.*', 'require.mjs']\n\
             [[keep]]\nfrom = 'node_modules/@mathjax/mathjax-newcm-font'\nto = 'vendor/mathjax-newcm-font'\n\
             include = ['chtml.js', 'chtml/*']\n",
        )
        .template(
            "index.html",
            page(
                "<script>
                MathJax = {
                    output: { fontPath: '/vendor/mathjax-newcm-font' },
                    startup: {
                        async pageReady() {
                            await MathJax.startup.defaultPageReady();
                            document.body.dataset.ready = 'yes';
                        },
                    },
                };
                </script>
                <script defer src=/vendor/mathjax/tex-chtml.js></script>",
                r"<p>\(\mathfrak{A} = \int_0^1 x\,dx\)</p>",
            ),
        );
    shows(
        &site,
        "document.body.dataset.ready",
        r"
        await document.fonts.ready;
        const loaded = [...document.fonts].filter((font) => font.status === 'loaded').map((font) => font.family);
        return [document.querySelectorAll('mjx-container mjx-math').length, loaded.includes('MJX-NCM-N'), loaded.includes('MJX-NCM-F')];
        ",
        json!([1, true, true]),
    );
}
