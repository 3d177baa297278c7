//! The DevTools protocol over two pipes: commands go one way, their results and events come the other, each a JSON text and a zero byte.
//! <https://chromedevtools.github.io/devtools-protocol/>

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// A browser that does not answer for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

type Waiting = HashMap<u64, oneshot::Sender<Result<Value, String>>>;

/// An event of one session, or of the browser itself.
#[derive(Debug)]
pub struct Event {
    pub method: String,
    pub session: Option<String>,
    pub params: Value,
}

pub struct Pipe {
    commands: ChildStdin,
    last: u64,
    /// None once the browser is gone.
    waiting: Arc<Mutex<Option<Waiting>>>,
    pub events: mpsc::UnboundedReceiver<Event>,
}

impl Pipe {
    pub fn new(commands: ChildStdin, answers: ChildStdout) -> Self {
        let waiting = Arc::new(Mutex::new(Some(Waiting::new())));
        let (sender, events) = mpsc::unbounded_channel();
        let to = waiting.clone();
        // Ends with the browser, which closes its end.
        std::thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                hand_over(message, &to, &sender);
            }
            *lock(&to) = None;
        });
        Pipe { commands, last: 0, waiting, events }
    }

    /// Sends a command and waits for what comes of it.
    pub async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value, String> {
        let result = self.send(session, method, params)?;
        match tokio::time::timeout(PATIENCE, result).await {
            Ok(Ok(result)) => result.map_err(|error| format!("{method}: {error}")),
            Ok(Err(_)) => Err("the browser has ended".to_owned()),
            Err(_) => Err(format!("{method}: no answer")),
        }
    }

    /// Sends a command whose result may come whenever it does.
    pub fn send(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<oneshot::Receiver<Result<Value, String>>, String> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).as_mut().ok_or("the browser has ended")?.insert(self.last, sender);
        let text = format!("{message}\0");
        self.commands.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(receiver)
    }
}

fn hand_over(mut message: Value, waiting: &Mutex<Option<Waiting>>, events: &mpsc::UnboundedSender<Event>) {
    if let Some(id) = message["id"].as_u64() {
        let Some(sender) = lock(waiting).as_mut().and_then(|waiting| waiting.remove(&id)) else { return };
        let result = match message["error"]["message"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(message["result"].take()),
        };
        // Nobody has to wait for it.
        let _ = sender.send(result);
    } else if let Some(method) = message["method"].as_str().map(str::to_owned) {
        let session = message["sessionId"].as_str().map(str::to_owned);
        let _ = events.send(Event { method, session, params: message["params"].take() });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
