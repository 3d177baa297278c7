//! `fingerpost init`

use std::path::PathBuf;

use super::Global;
use super::terminal::Terminal;
use crate::error::Result;
use crate::scaffold;

#[derive(clap::Args)]
pub struct Args {
    /// The folder to begin in; it is made if it isn't there [default: the root]
    folder: Option<PathBuf>,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let folder = args.folder.as_ref().map_or_else(|| global.root.clone(), |folder| global.root.join(folder));
    let written = scaffold::init(&folder)?;
    if terminal.report(&serde_json::json!({ "files": written }))? {
        return Ok(());
    }
    for path in &written {
        terminal.data(path);
    }
    terminal.say(&format!("next: `fingerpost --root {} preview`", folder.display()));
    Ok(())
}
