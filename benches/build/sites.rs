//! What is built: each case in a folder of its own, written anew.

use std::fs;
use std::path::Path;

use crate::peers;

pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Site { folder: tempfile::tempdir().expect("a folder") };
        // esbuild lowers nothing unless it is told to; so does nobody else here.
        let site = site.file(".browserslistrc", "chrome 140\n");
        std::os::unix::fs::symlink(peers::packages(), site.root().join("node_modules")).expect("a link");
        site
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(self, text: &str) -> Self {
        self.file("fingerpost.toml", text)
    }

    fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    /// The page that names the entries, and the same said to vite.
    fn with_entries(self, tags: &str, inputs: &[&str]) -> Self {
        self.file("templates/index.html", format!("<!doctype html><title>t</title>{tags}<p>t")).file(
            "vite.config.mjs",
            format!(
                "export default {{ build: {{ target: 'esnext', outDir: 'out/vite', sourcemap: 'hidden', reportCompressedSize: false, rollupOptions: {{ input: {inputs:?}, preserveEntrySignatures: 'strict' }} }} }}\n"
            ),
        )
    }

    pub fn three_ten_times() -> Self {
        let mut site = Site::new();
        let mut entry = String::new();
        for index in 0..10 {
            peers::copy(&peers::packages().join("three/src"), &site.root().join(format!("copies/{index}")));
            entry += &format!(
                "import * as three{index} from '../../copies/{index}/Three.js';\nexport {{ three{index} }};\n"
            );
        }
        site = site.file("assets/js/entry.js", entry);
        site.with_entries("{{ asset_tags('js/entry.js') }}", &["assets/js/entry.js"])
    }

    pub fn small() -> Self {
        let mut site = Site::new();
        let mut entry =
            "import 'bootstrap';\nimport 'htmx.org';\nimport Alpine from 'alpinejs';\nimport jQuery from 'jquery';\n\
             window.jQuery = jQuery;\nAlpine.start();\n"
                .to_owned();
        for index in 0..20 {
            site = site.file(&format!("assets/js/own/module{index}.js"), module(index, 0));
            entry += &format!("import {{ run as run{index} }} from './own/module{index}.js';\nrun{index}();\n");
        }
        site.file("assets/js/entry.js", entry)
            .file("assets/css/site.css", "@import 'bootstrap/dist/css/bootstrap.css';\nbody { margin: 1rem }\n")
            .with_entries(
                "{{ asset_tags('css/site.css', 'js/entry.js') }}",
                &["assets/js/entry.js", "assets/css/site.css"],
            )
    }

    /// What people work on all day: the libraries of the small site and a large one, and thirty pages that are loaded when they are
    /// visited and share a module.
    pub fn application() -> Self {
        let mut site = Site::new();
        let mut entry =
            "import 'bootstrap';\nimport 'htmx.org';\nimport Alpine from 'alpinejs';\nimport jQuery from 'jquery';\n\
             window.jQuery = jQuery;\nAlpine.start();\nconst pages = {\n"
                .to_owned();
        for index in 0..30 {
            let scene = if index == 0 { "import * as three from 'three';\nwindow.three = three;\n" } else { "" };
            let page = format!("import {{ show }} from '../shared.js';\n{scene}{}show(texts);\n", module(index, 0));
            site = site.file(&format!("assets/js/pages/page{index}.js"), page);
            entry += &format!("    page{index}: () => import('./pages/page{index}.js'),\n");
        }
        entry += "};\npages[location.hash.slice(1)]?.();\n";
        site.file("assets/js/shared.js", "export const show = (texts) => document.body.append(...texts);\n")
            .file("assets/js/entry.js", entry)
            .file("assets/css/site.css", "@import 'bootstrap/dist/css/bootstrap.css';\nbody { margin: 1rem }\n")
            .with_entries(
                "{{ asset_tags('css/site.css', 'js/entry.js') }}",
                &["assets/js/entry.js", "assets/css/site.css"],
            )
    }

    /// Changes one page of the application.
    pub fn edit(&self, edits: usize) {
        let page = format!("import {{ show }} from '../shared.js';\n{}show(texts);\n", module(7, edits));
        fs::write(self.root().join("assets/js/pages/page7.js"), page).expect("a file");
    }

    pub fn many(count: usize) -> Self {
        let mut site = Site::new();
        for index in 0..count {
            let path = format!("assets/icons/{}/icon{index}.svg", index / 1000);
            site = site.file(
                &path,
                format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M1 1h{index}v7'/></svg>\n"),
            );
        }
        site
    }
}

fn module(index: usize, edits: usize) -> String {
    let mut text = String::from("const texts = [\n");
    for line in 0..60 {
        text += &format!("    'line {line} of module {index} in its edition {edits}',\n");
    }
    text += "];\n\nexport function run() {\n    for (const [index, text] of texts.entries()) {\n        \
             document.body.dataset[`text${index}`] = text;\n    }\n}\n";
    text
}
