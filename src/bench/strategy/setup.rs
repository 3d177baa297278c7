//! What a strategy is started with, and what it leaves word of: commands, configuration files, versions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::bench::ground::Ground;
use crate::bench::load::Reached;
use crate::bench::process::{Launch, Meter, Process, version};
use crate::bench::relay::Relay;
use crate::bench::report::Missing;
use crate::bench::stand::{Behind, Door};
use crate::fs;
use crate::progress::Progress;

/// Whether something is part of what is measured and told: the server of the second release is the same again, and is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Yes,
    No,
}

pub struct Setup<'g> {
    pub ground: &'g Ground,
    pub progress: &'g dyn Progress,
    folder: PathBuf,
    pub processes: Vec<Process>,
    /// Groups of those that are measured.
    measured: Vec<u32>,
    pub commands: Vec<String>,
    pub configurations: BTreeMap<String, String>,
    pub programs: BTreeMap<String, String>,
    pub doors: Vec<Door>,
    /// Servers of the user's that need no door.
    pub reached: Vec<Reached>,
    /// Of who sends the pages, where an object store answers for the rest.
    pub pages: Option<Meter>,
    /// What it keeps stored of the first release.
    pub stored: Vec<PathBuf>,
    /// As `stored`, where it is in no folder.
    pub stored_bytes: u64,
}

impl<'g> Setup<'g> {
    pub fn new(ground: &'g Ground, name: &str, progress: &'g dyn Progress) -> Self {
        Setup {
            ground,
            progress,
            folder: ground.folder.path().join("run").join(name),
            processes: Vec::new(),
            measured: Vec::new(),
            commands: Vec::new(),
            configurations: BTreeMap::new(),
            programs: BTreeMap::new(),
            doors: Vec::new(),
            reached: Vec::new(),
            pages: None,
            stored: Vec::new(),
            stored_bytes: 0,
        }
    }

    /// A folder of that name for something that is started.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Missing> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Writes a configuration file.
    pub fn file(&mut self, folder: &Path, name: &str, text: &str, told: Told) -> Result<PathBuf, Missing> {
        let path = folder.join(name);
        fs::write(&path, text.as_bytes())?;
        if told == Told::Yes {
            self.configurations.insert(name.to_owned(), text.to_owned());
        }
        Ok(path)
    }

    /// On the servers' cores.
    pub fn launch(&self, program: &Path, folder: &Path) -> Launch {
        Launch::new(program, folder).on(self.ground.cores.servers.as_deref())
    }

    /// Starts it, waits until it answers there, and gives the number of its group.
    pub async fn start(&mut self, launch: Launch, address: SocketAddr, told: Told) -> Result<u32, Missing> {
        if told == Told::Yes {
            self.commands.push(launch.line());
        }
        let mut process = launch.start()?;
        process.answers(address).await?;
        Ok(self.keep(process, told))
    }

    pub fn keep(&mut self, process: Process, told: Told) -> u32 {
        let group = process.group();
        if told == Told::Yes {
            self.measured.push(group);
        }
        self.processes.push(process);
        group
    }

    /// All that is measured so far sends the pages, and `store` the rest. If that is somebody else's, what it takes is not known, and
    /// so neither what all take together: a part would be taken for the whole.
    pub fn beside(&mut self, store: Option<u32>) {
        self.pages = Some(self.meter());
        match store {
            Some(group) => self.measured.push(group),
            None => self.measured.clear(),
        }
    }

    pub fn meter(&self) -> Meter {
        Meter::of(self.processes.iter().filter(|process| self.measured.contains(&process.group())))
    }

    /// Notes what a program says of its version.
    pub fn program(&mut self, name: &str, program: &Path, argument: &str) {
        if let Some(version) = version(program, argument) {
            self.programs.insert(name.to_owned(), version);
        }
    }

    /// An address for visitors, with an origin behind it.
    pub async fn door(&mut self) -> Result<Relay, Missing> {
        Ok(Relay::bind(self.ground.emulation.before_origins()).await?)
    }

    /// An address for visitors, with an edge behind it.
    pub async fn edge_door(&mut self) -> Result<Relay, Missing> {
        Ok(Relay::bind(self.ground.emulation.before_edges()).await?)
    }

    pub fn open(&mut self, relay: Relay, behind: Behind) {
        self.doors.push(Door { relay, behind });
    }
}

/// Bytes of all files below a folder, or of a file.
pub fn size(path: &Path) -> u64 {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| size(&entry.path()))).sum()
}
