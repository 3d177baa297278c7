//! The sites that are worked on: one tree that each contender reads as it is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::peers;

/// Stylesheets that the page loads; there are more of them.
const LINKED: usize = 20;

pub struct Site {
    folder: tempfile::TempDir,
    /// The script that is edited, and where in it its edition is said.
    script: PathBuf,
    sheet: PathBuf,
}

impl Site {
    /// So many modules, each of which imports some others, and so many stylesheets.
    pub fn modules(modules: usize, sheets: usize) -> Self {
        let site = Site::new("assets/js/part/7.js", "assets/css/7.css");
        for index in 0..modules {
            // A tree, ten branches at each module.
            let children: Vec<usize> = (index * 10 + 1..=index * 10 + 10).filter(|child| *child < modules).collect();
            let imports: String =
                children.iter().map(|child| format!("import {{ value as v{child} }} from './{child}.js';\n")).collect();
            let sum: String = children.iter().map(|child| format!(" + v{child}")).collect();
            let body: String = (0..10)
                .map(|line| {
                    format!("export function f{line}(a, b) {{\n  return [a, b, {line}, {index}].join('-');\n}}\n")
                })
                .collect();
            site.write(
                &format!("assets/js/part/{index}.js"),
                &format!("{imports}{body}export const value = 1{sum};\n"),
            );
        }
        site.write(
            "assets/js/entry.js",
            &format!("import {{ value }} from './part/0.js';\nwindow.total = value;\n{DONE}"),
        );
        for index in 0..sheets {
            let rules: String = (0..20)
                .map(|rule| format!(".s{index} .r{rule} {{ margin: {rule}px; color: rgb({rule}, 1, 2) }}\n"))
                .collect();
            site.write(&format!("assets/css/{index}.css"), &rules);
        }
        site.page(sheets.min(LINKED));
        site
    }

    /// three.js ten times.
    pub fn three_ten_times() -> Self {
        let site = Site::new("copies/7/constants.js", "assets/css/7.css");
        let mut entry = String::new();
        for index in 0..10 {
            peers::copy(&peers::packages().join("three/src"), &site.root().join(format!("copies/{index}")));
            entry += &format!(
                "import * as three{index} from '../../copies/{index}/Three.js';\nwindow.three{index} = three{index};\n"
            );
        }
        site.write("assets/js/entry.js", &format!("{entry}{DONE}"));
        for index in 0..LINKED {
            site.write(&format!("assets/css/{index}.css"), &format!(".s{index} {{ margin: {index}px }}\n"));
        }
        site.page(LINKED);
        site
    }

    fn new(script: &str, sheet: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Site { script: folder.path().join(script), sheet: folder.path().join(sheet), folder };
        site.write(".browserslistrc", "chrome 140\n");
        site.write("fingerpost.toml", "[build]\ncache = \"none\"\n");
        site
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// The page, for each contender with the URLs that it serves the same files under.
    fn page(&self, sheets: usize) {
        let page = |link: &dyn Fn(usize) -> String, script: &str, more: &str| {
            let links: String =
                (0..sheets).map(|index| format!("<link rel=stylesheet href={}>", link(index))).collect();
            format!(
                "<!doctype html><html><head><meta charset=utf-8><title>t</title>{links}</head><body><p id=p>t</p>{more}<script type=module src={script}></script></body></html>"
            )
        };
        let source = |index: usize| format!("/assets/css/{index}.css");
        self.write(
            "templates/index.html",
            &page(&|index| format!("/static/css/{index}.css"), "/static/js/entry.js", ""),
        );
        self.write("index.html", &page(&source, "/assets/js/entry.js", ""));
        self.write("www/index.html", &page(&|index| format!("/css/{index}.css"), "/js/entry.js", LIVE_RELOAD));
        self.write("vite.config.mjs", "export default { server: { watch: { ignored: ['**/www/**'] } } }\n");
    }

    /// Writes another edition of the script that says which it is.
    pub fn edit_script(&self, edition: usize) {
        self.edit(&self.script, &format!("window.edition = {edition};\n"), "window.edition");
    }

    /// Writes another edition of a stylesheet: the paragraph's width in pixels.
    pub fn edit_sheet(&self, edition: usize) {
        self.edit(&self.sheet, &format!("#p {{ width: {}px }}\n", edition + 100), "#p {");
    }

    /// In the place of the line that was added before.
    fn edit(&self, path: &Path, line: &str, start: &str) {
        let text = fs::read_to_string(path).expect("a file");
        let kept: String =
            text.lines().filter(|line| !line.starts_with(start)).map(|line| format!("{line}\n")).collect();
        fs::write(path, format!("{kept}{line}")).expect("a file");
    }
}

/// When the last module has run, by the system's clock.
const DONE: &str = "window.done = performance.timeOrigin + performance.now();\n";

/// What esbuild's documentation has in a page: <https://esbuild.github.io/api/#live-reload>.
const LIVE_RELOAD: &str = "<script>
new EventSource('/esbuild').addEventListener('change', (e) => {
  const { added, removed, updated } = JSON.parse(e.data);
  if (!added.length && !removed.length && updated.length === 1) {
    for (const link of document.getElementsByTagName('link')) {
      const url = new URL(link.href);
      if (url.host === location.host && url.pathname === updated[0]) {
        const next = link.cloneNode();
        next.href = updated[0] + '?' + Math.random().toString(36).slice(2);
        next.onload = () => link.remove();
        link.parentNode.insertBefore(next, link.nextSibling);
        return;
      }
    }
  }
  location.reload();
});
</script>";
