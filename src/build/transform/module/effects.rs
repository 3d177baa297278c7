//! Modules that are loaded for their stylesheets alone.
//!
//! The bundler drops an `import()` of which nothing is used if the module has no effect. It knows nothing of stylesheets: to it
//! they have none, so that an unused module which imports one is left out. What a page loads later for its sheets has one, and
//! that is told once all modules are known.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use rolldown::BundlerOptions;
use rolldown_common::{DeferSyncScanData, DeferSyncScanDataOption, InnerOptions, ModuleSideEffects, TreeshakeOptions};

use super::plugin::{Hooks, lock};

/// Keeps each `import()` of a module that brings stylesheets.
pub fn keep_lazy_sheets(hooks: &Arc<Hooks>, options: &mut BundlerOptions) {
    let wanted: Arc<OnceLock<BTreeSet<String>>> = Arc::default();
    let (hooks, told) = (Arc::clone(hooks), Arc::clone(&wanted));
    options.defer_sync_scan_data = Some(DeferSyncScanDataOption::new(move || {
        let wanted = told.get_or_init(|| lock(&hooks.modules).lazy_with_sheets());
        // Without a word about effects, the bundler asks again, as below. What a hook can say instead would keep all of the module's statements.
        let data = |id: &String| DeferSyncScanData { id: id.clone(), side_effects: None };
        let data = wanted.iter().map(data).collect();
        Box::pin(async move { Ok(data) })
    }));
    options.treeshake = TreeshakeOptions::Option(InnerOptions {
        module_side_effects: ModuleSideEffects::Function(Arc::new(move |id, _| {
            let is_wanted = wanted.get().is_some_and(|wanted| wanted.contains(id));
            Box::pin(async move { Ok(is_wanted.then_some(true)) })
        })),
        ..InnerOptions::default()
    });
}
