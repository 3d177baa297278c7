//! `app`: the application server sends its own files, Flask's way; or whatever command the user gives.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::About;
use super::setup::{Setup, Told};
use crate::bench::ground::{Ground, Made, Releases};
use crate::bench::process::{find, free_address};
use crate::bench::report::{Missing, Way};
use crate::bench::stand::Behind;

pub const ABOUT: About = About {
    name: "app",
    way: Some(Way::App),
    title: "the application",
    description: "Flask under gunicorn sends pages and, by its own static route, unminified files; or the \
                  command of `--app`.",
};

/// As visitors find it.
pub async fn start(setup: &mut Setup<'_>) -> Result<(), Missing> {
    let relay = setup.door().await?;
    let (servers, _) = servers(setup, "templates").await?;
    setup.open(relay, Behind::Origin(servers));
    Ok(())
}

/// The application of each release, and the folders of its static files if they are known.
pub async fn servers(setup: &mut Setup<'_>, templates: &str) -> Result<([SocketAddr; 2], Option<Releases>), Missing> {
    if let Some(command) = setup.ground.app.clone() {
        let root = setup.ground.root.clone();
        let address = command_at(setup, &command, root).await?;
        return Ok(([address, address], None));
    }
    let python = python(setup.ground)?;
    let folders = setup.ground.built(Made::App).await?;
    let first = flask(setup, &python, &folders, templates, 0).await?;
    let second = flask(setup, &python, &folders, templates, 1).await?;
    setup.stored.push(folders[0].join("static"));
    Ok(([first, second], Some(folders.map(|folder| folder.join("static")))))
}

/// Runs the user's command, which has `{port}` where it takes the port to listen at.
pub async fn command_at(setup: &mut Setup<'_>, command: &str, root: PathBuf) -> Result<SocketAddr, Missing> {
    let address = free_address()?;
    let line = command.replace("{port}", &address.port().to_string());
    let folder = setup.folder("app")?;
    let launch = setup.launch("/bin/sh".as_ref(), &folder).args(["-c", &format!("exec {line}")]).inside(root);
    setup.start(launch.variable("PORT", address.port().to_string()), address, Told::Yes).await?;
    Ok(address)
}

async fn flask(
    setup: &mut Setup<'_>,
    python: &PathBuf,
    folders: &Releases,
    templates: &str,
    release: usize,
) -> Result<SocketAddr, Missing> {
    let told = if release == 0 { Told::Yes } else { Told::No };
    let address = free_address()?;
    let folder = setup.folder(&format!("app-{}", release + 1))?;
    // gunicorn's documentation: two workers for each core and one more; threads, so that connections are kept.
    let workers = (2 * setup.ground.cores.count + 1).to_string();
    let launch = setup.launch(python, &folder).args(["-m", "gunicorn", "--workers", &workers, "--threads", "4"]);
    let launch =
        launch.args(["--keep-alive", "75", "--log-level", "warning", "--worker-tmp-dir", "/dev/shm", "--bind"]);
    let launch = launch.arg(address.to_string()).arg("--chdir").arg(&folders[release]).arg("app:app");
    let launch = launch.variable("TEMPLATES", templates).variable("PYTHONDONTWRITEBYTECODE", "1");
    if told == Told::Yes {
        let text = std::fs::read_to_string(folders[release].join("app.py"))?;
        setup.configurations.insert("app.py".to_owned(), text);
        if let Some(version) = versions(python) {
            setup.programs.insert("flask".to_owned(), version);
        }
    }
    setup.start(launch, address, told).await?;
    Ok(address)
}

/// A Python that has Flask and gunicorn: the one that was named, that of the environment, that beside the site, or the system's.
fn python(ground: &Ground) -> Result<PathBuf, Missing> {
    let below = |folder: PathBuf| folder.join("bin/python3");
    let active = std::env::var_os("VIRTUAL_ENV").map(|folder| below(folder.into()));
    let beside = Some(below(ground.root.join(".venv")));
    let candidates = match &ground.python {
        Some(python) => vec![std::path::absolute(python).ok()],
        None => vec![active, beside, find("python3")],
    };
    let mut candidates = candidates.into_iter().flatten().filter(|python| python.is_file());
    candidates.find(|python| versions(python).is_some()).ok_or_else(|| Missing {
        reason: "there is no Python with Flask and gunicorn".to_owned(),
        remedy: "python3 -m venv .venv && .venv/bin/pip install flask gunicorn, or name one with `--python`; or start your own \
                 application with `--app COMMAND`"
            .to_owned(),
    })
}

fn versions(python: &PathBuf) -> Option<String> {
    const SAY: &str = "import sys, flask, gunicorn; from importlib.metadata import version as v; \
                       print('Flask', v('flask') + ', gunicorn', v('gunicorn') + ', Python', sys.version.split()[0])";
    let out = Command::new(python).args(["-c", SAY]).stdin(Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
