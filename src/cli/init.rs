//! `fingerpost init`

use std::path::{Path, PathBuf};

use super::Global;
use super::terminal::{Terminal, counted};
use crate::error::Result;
use crate::progress::Progress;
use crate::scaffold::{self, Request};

#[derive(clap::Args)]
pub struct Args {
    /// The folder to begin in; it is made if it isn't there [default: the root]
    folder: Option<PathBuf>,
    /// Take over the bundles of an app that has webassets or Flask-Assets, as `shop:app`, or of a YAML file, instead of beginning a new
    /// site; only the configuration is written [default: `FLASK_APP`, or `wsgi.py` or `app.py`]
    #[arg(long, value_name = "TARGET", num_args = 0..=1)]
    from_webassets: Option<Option<String>>,
    /// The Python that has the app's packages [default: that of the active environment, of `.venv`, or `python3`]
    #[arg(long, value_name = "PATH", requires = "from_webassets")]
    python: Option<PathBuf>,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let folder = args.folder.as_ref().map_or_else(|| global.root.clone(), |folder| global.root.join(folder));
    match &args.from_webassets {
        None => begin(&folder, terminal),
        Some(target) => import(&folder, &Request { target: target.clone(), python: args.python.clone() }, terminal),
    }
}

fn begin(folder: &Path, terminal: &Terminal) -> Result<()> {
    let written = scaffold::init(folder)?;
    if terminal.report(&serde_json::json!({ "files": written }))? {
        return Ok(());
    }
    for path in &written {
        terminal.data(path);
    }
    terminal.say(&format!("next: `fingerpost --root {} preview`", folder.display()));
    Ok(())
}

fn import(folder: &Path, request: &Request, terminal: &Terminal) -> Result<()> {
    let imported = scaffold::import(folder, request)?;
    let report = serde_json::json!({
        "files": [scaffold::CONFIG],
        "target": imported.target,
        "bundles": imported.bundles,
        "warnings": imported.warnings,
    });
    imported.warnings.iter().for_each(|warning| terminal.warn(warning.clone()));
    if terminal.report(&report)? {
        return Ok(());
    }
    terminal.data(scaffold::CONFIG);
    let count = counted(imported.bundles.len(), "bundle");
    terminal.say(&format!("{count} of `{}`; what did not carry over is said in comments", imported.target));
    terminal.say(&format!("next: `fingerpost --root {} build`, and `Fingerpost(app)` in the app", folder.display()));
    Ok(())
}
