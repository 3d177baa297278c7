//! Single keys, as they are pressed.

use std::io::{IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Keys that are pressed while this is there. When it goes, the terminal is as it was.
pub struct Keys {
    pressed: UnboundedReceiver<char>,
    /// None if nobody sits there.
    before: Option<Termios>,
}

impl Keys {
    pub fn listen() -> Self {
        let (sender, pressed) = unbounded_channel();
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Keys { pressed, before: None };
        }
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut modes = before.clone();
            // Without waiting for a line, and without showing what is typed; Ctrl-C stays what it is.
            modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            let _ = tcsetattr(&stdin, OptionalActions::Now, &modes);
        }
        // It waits for a key for ever, so it ends with the process.
        std::thread::spawn(move || {
            for byte in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if sender.send(char::from(byte)).is_err() {
                    return;
                }
            }
        });
        Keys { pressed, before }
    }

    /// The next one; never, if there will be none.
    pub async fn next(&mut self) -> char {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
