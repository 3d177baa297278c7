//! What `import.meta.env` tells scripts of the machine that builds: variables whose names begin with `PUBLIC_` or `VITE_`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Fault, Result};
use crate::manifest::Mode;

/// Only these are ever put into a script: the others may be secrets.
const PREFIXES: [&str; 2] = ["PUBLIC_", "VITE_"];

/// The variables of `.env`, `.env.local`, `.env.MODE` and `.env.MODE.local` below the root, a later file before an earlier one,
/// and before them all the process's own.
pub fn read(root: &Path, mode: Mode) -> Result<BTreeMap<String, String>> {
    let mode = mode.as_str();
    let mut variables = BTreeMap::new();
    for name in [".env".to_owned(), ".env.local".to_owned(), format!(".env.{mode}"), format!(".env.{mode}.local")] {
        let path = root.join(&name);
        if !path.is_file() {
            continue;
        }
        let pairs = dotenvy::from_path_iter(&path).map_err(|error| unreadable(&name, &error))?;
        for pair in pairs {
            let (key, value) = pair.map_err(|error| unreadable(&name, &error))?;
            variables.insert(key, value);
        }
    }
    variables.extend(
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))),
    );
    variables.retain(|key, _| PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
    Ok(variables)
}

fn unreadable(name: &str, error: &dotenvy::Error) -> Error {
    Fault::new(format!("could not read `{name}`: {error}"))
        .hint("write a line such as `PUBLIC_NAME=value` for each variable")
        .into()
}
