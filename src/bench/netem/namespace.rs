//! The network namespace that the bench runs in: how it gets there, and what there has to be.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{BACK, EDGE, ORIGIN, Shape, batch, lift, words};
use crate::bench::process::find;
use crate::error::{Error, Result};

/// In the environment of who was started inside: their process, which stays the same, and the namespace that they came from.
const CAME_FROM: &str = "FINGERPOST_BENCH_CAME_FROM";

/// With privilege, and without: then the user is the same inside, with all rights over that namespace alone.
const WAYS_IN: [&[&str]; 2] = [&["--net"], &["--user", "--map-current-user", "--keep-caps", "--net"]];

/// What of the kernel is needed, each with a command that shows whether it is there. A filter needs something to be put into.
const MODULES: [(&str, &str); 3] = [
    ("sch_netem", "qdisc replace dev lo root netem delay 1ms\n"),
    ("sch_prio", "qdisc replace dev lo root handle 1: prio\n"),
    ("cls_u32", "filter add dev lo parent 1: protocol ip u32 match ip dst 127.0.10.1/32 flowid 1:2\n"),
];

/// Connections to these don't tell later ones how long the way was: each visit finds it out anew. Where it can't be set (a container may have it
/// read-only), new connections begin with the waiting times of old ones, and no more: since Linux 5.6 nothing else is kept by default.
const FORGETFUL: &str = "/proc/sys/net/ipv4/tcp_no_metrics_save";

/// Sees to it that this runs in a network namespace of its own, in which networks can be made. Outside of one, this process becomes
/// `program` with the same `arguments` inside, and does not come back; inside, all that is needed is set up or found missing.
pub fn enter(program: &Path, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let (tools, namespace) = (Tools::find()?, namespace()?);
    let came_from = std::env::var(CAME_FROM).unwrap_or_default();
    // What this process starts has the same in its environment, but another number.
    match came_from.split_once(' ').filter(|(process, _)| *process == std::process::id().to_string()) {
        Some((_, from)) if from == namespace => Err(refused(
            format!("`{}` has left it in the same network namespace", tools.unshare.display()),
            "install that of util-linux",
        )),
        Some(_) => tools.prepare(),
        None => Err(tools.become_inside(program, arguments, &namespace)),
    }
}

/// `net:[4026531840]`
fn namespace() -> Result<String> {
    let link = std::fs::read_link("/proc/self/ns/net").map_err(|error| {
        refused(format!("could not read `/proc/self/ns/net`: {error}"), "network namespaces are Linux's")
    })?;
    Ok(link.to_string_lossy().into_owned())
}

pub struct Tools {
    unshare: PathBuf,
    ip: PathBuf,
    tc: PathBuf,
}

impl Tools {
    pub fn find() -> Result<Self> {
        let found = |name: &str, package: &str| {
            find(name)
                .ok_or_else(|| refused(format!("`{name}` is not installed"), &format!("`apt-get install {package}`")))
        };
        Ok(Tools {
            unshare: found("unshare", "util-linux")?,
            ip: found("ip", "iproute2")?,
            tc: found("tc", "iproute2")?,
        })
    }

    /// Comes back only with what stood in the way.
    fn become_inside(&self, program: &Path, arguments: impl IntoIterator<Item = OsString>, namespace: &str) -> Error {
        let way_in = match self.way_in() {
            Ok(way_in) => way_in,
            Err(error) => return error,
        };
        let came_from = format!("{} {namespace}", std::process::id());
        let mut command = Command::new(&self.unshare);
        command.args(way_in).arg("--").arg(program).args(arguments).env(CAME_FROM, came_from);
        Error::io("start", &self.unshare)(command.exec())
    }

    /// The arguments of `unshare` with which one gets in, and may do something there.
    fn way_in(&self) -> Result<&'static [&'static str]> {
        let mut reasons = Vec::new();
        for way_in in WAYS_IN {
            let mut command = Command::new(&self.unshare);
            command.args(way_in).arg("--").arg(&self.ip).args(["link", "set", "dev", "lo", "up"]);
            let out = command.stdin(Stdio::null()).output().map_err(Error::io("start", &self.unshare))?;
            if out.status.success() {
                return Ok(way_in);
            }
            reasons.push(format!("`unshare {}`: {}", way_in.join(" "), words(&out.stderr)));
        }
        Err(refused(
            format!("the bench may not have a network namespace of its own ({})", reasons.join(", ")),
            "run it as root, or let users have namespaces (sysctl `user.max_user_namespaces`, on Debian \
             `kernel.unprivileged_userns_clone=1`, on Ubuntu `kernel.apparmor_restrict_unprivileged_userns=0`)",
        ))
    }

    /// Brings up the addresses, and finds out whether the kernel has what is needed.
    pub fn prepare(&self) -> Result<()> {
        let route = |address| {
            // The sender has an address of its own, or both directions would look the same.
            format!("route replace local {address} dev lo table local src 127.0.0.1 mtu 1500 advmss 1460\n")
        };
        let addresses = [ORIGIN, EDGE, BACK].map(route).concat();
        batch(&self.ip, &format!("link set dev lo up\n{addresses}"))
            .map_err(|reason| refused(format!("could not set up a loopback device: {reason}"), "run it as root"))?;
        let mut failed: Vec<(&str, String)> = Vec::new();
        for (module, command) in MODULES {
            // The filter is none to blame where there is nothing to put it into.
            if let Err(reason) = batch(&self.tc, command)
                && failed.last().is_none_or(|(before, _)| *before != "sch_prio")
            {
                failed.push((module, reason));
            }
        }
        if !failed.is_empty() {
            return Err(no_modules(&failed));
        }
        let all = Shape {
            up: 1_000_000,
            down: 1_000_000,
            origin: Duration::from_millis(2),
            edge: Some(Duration::from_millis(1)),
            back: Duration::from_millis(1),
        };
        let tried = lift().and_then(|()| batch(&self.tc, &all.commands())).and_then(|()| lift());
        tried.map_err(|reason| {
            refused(format!("the kernel does not make the networks that are asked for: {reason}"), "use a newer kernel")
        })?;
        let _ = std::fs::write(FORGETFUL, "1");
        Ok(())
    }
}

fn no_modules(failed: &[(&str, String)]) -> Error {
    let names: Vec<&str> = failed.iter().map(|(module, _)| *module).collect();
    let reasons: Vec<String> = failed.iter().map(|(module, reason)| format!("{module}: {reason}")).collect();
    refused(
        format!("this kernel can't make networks without `{}` ({})", names.join("`, `"), reasons.join(", ")),
        &format!("`modprobe -a {}` as root, where the kernel has such modules", names.join(" ")),
    )
}

/// What is in the way, and the ways round it.
fn refused(reason: String, help: &str) -> Error {
    Error::Usage {
        message: format!("networks can't be made by netem here: {reason}"),
        help: format!("{help}; or leave `--emulation netem` out, and relays make them, without any privilege"),
    }
}
