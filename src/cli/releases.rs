//! `fingerpost releases`

use std::time::Duration;

use super::terminal::{Column, Terminal, bytes};
use super::{Global, block_on_this_thread};
use crate::error::Result;
use crate::publish::{self, Summary};

#[derive(clap::Args)]
pub struct Args {
    /// The environment whose store is looked into
    #[arg(short, long, default_value = "production", value_name = "NAME", env = "FINGERPOST_ENV")]
    env: String,
}

pub fn run(global: &Global, args: &Args, terminal: &Terminal) -> Result<()> {
    let config = global.load()?;
    let environment = config.environment(&args.env)?;
    let found = block_on_this_thread(async {
        let store = publish::open(&config.root, environment, terminal).await?;
        publish::releases(&store, &environment.name).await
    })?;
    if terminal.report(&found)? {
        return Ok(());
    }
    let row = |summary: &Summary| {
        vec![
            summary.release.to_string(),
            if summary.live { "live" } else { "" }.to_owned(),
            summary.published.clone(),
            ago(Duration::from_secs(summary.age)),
            summary.objects.to_string(),
            bytes(summary.bytes),
            bytes(summary.shared),
            match summary.missing {
                0 => String::new(),
                missing => format!("{missing} objects are missing"),
            },
        ]
    };
    let head = [
        Column::Text("release"),
        Column::Text(""),
        Column::Text("published"),
        Column::Text("age"),
        Column::Number("objects"),
        Column::Number("size"),
        Column::Number("shared with live"),
        Column::Text(""),
    ];
    terminal.table(&head, found.releases.iter().map(row).collect());
    if found.releases.is_empty() {
        terminal.say(&format!("no release was published to {} yet", found.store));
    }
    Ok(())
}

fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    let (count, unit) = match seconds {
        ..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "min"),
        7200..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{count} {unit}")
}
