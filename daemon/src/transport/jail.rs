//! Asks of the jail helper.

use super::{Client, TransportError};
use protocol::Principal;
use protocol::jail::{
    JailInfo, JailSpec, Limits, ProcessInfo, ProcessSpec, Request, Response, SignalTarget, Stdio, Usage,
};
use protocol::names::JailName;
use std::os::fd::OwnedFd;

/// The jail helper's client.
#[derive(Debug, Clone)]
pub struct Jail(pub(crate) Client<Request, Response>);

type Result<T> = std::result::Result<T, TransportError>;

/// A process that was started.
#[derive(Debug)]
pub struct Launched {
    /// Its id as the host sees it.
    pub pid: i32,
    /// Delivers its end; see [`super::exit`].
    pub exit: OwnedFd,
    /// The terminal's master, if it has one.
    pub terminal: Option<OwnedFd>,
}

impl Jail {
    async fn done(&self, by: &Principal, request: Request) -> Result<Vec<OwnedFd>> {
        match self.0.ask(by, request, Vec::new()).await? {
            (Response::Done, fds) => Ok(fds),
            _ => Err(self.0.confused()),
        }
    }

    /// Makes a jail; gives its id on the host.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for the root, or see [`TransportError`].
    pub async fn create(&self, by: &Principal, spec: JailSpec) -> Result<i32> {
        match self
            .0
            .ask(by, Request::Create(Box::new(spec)), Vec::new())
            .await?
        {
            (Response::Created { jid }, _) => Ok(jid),
            _ => Err(self.0.confused()),
        }
    }

    /// Sockets made inside the jail's network, for the net helper.
    ///
    /// # Errors
    /// `NotFound`, `Refused`, or see [`TransportError`].
    pub async fn open_network(&self, by: &Principal, jail: JailName) -> Result<Vec<OwnedFd>> {
        self.done(by, Request::OpenNetwork { jail }).await
    }

    /// Starts a process. `pipes` are its standard input, output and error, unless it gets a terminal.
    ///
    /// # Errors
    /// `CommandNotFound`, `CommandNotExecutable`, `NotFound`, or see [`TransportError`].
    pub async fn launch(
        &self,
        by: &Principal,
        jail: JailName,
        process: ProcessSpec,
        pipes: Vec<OwnedFd>,
    ) -> Result<Launched> {
        let wants_terminal = matches!(process.stdio, Stdio::Terminal { .. });
        let request = Request::Launch {
            jail,
            process: Box::new(process),
        };
        let (response, fds) = self.0.ask(by, request, pipes).await?;
        let mut fds = fds.into_iter();
        match (response, fds.next(), fds.next()) {
            (Response::Launched { pid }, Some(exit), terminal) if terminal.is_some() == wants_terminal => {
                Ok(Launched { pid, exit, terminal })
            }
            _ => Err(self.0.confused()),
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// `NotFound`, or see [`TransportError`].
    pub async fn signal(
        &self,
        by: &Principal,
        jail: JailName,
        target: SignalTarget,
        signal: u8,
    ) -> Result<()> {
        self.done(by, Request::Signal { jail, target, signal })
            .await
            .map(|_| ())
    }

    /// Kills everything in a jail and removes it.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn remove(&self, by: &Principal, jail: JailName) -> Result<()> {
        self.done(by, Request::Remove { jail }).await.map(|_| ())
    }

    /// Holds every process of a jail.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `Busy`, or see [`TransportError`].
    pub async fn pause(&self, by: &Principal, jail: JailName) -> Result<()> {
        self.done(by, Request::Pause { jail }).await.map(|_| ())
    }

    /// Lets the processes of a jail go on.
    ///
    /// # Errors
    /// `NotFound`, or see [`TransportError`].
    pub async fn resume(&self, by: &Principal, jail: JailName) -> Result<()> {
        self.done(by, Request::Resume { jail }).await.map(|_| ())
    }

    /// Sets what a jail may use.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `Busy` where it uses more already, or see [`TransportError`].
    pub async fn limit(&self, by: &Principal, jail: JailName, limits: Limits) -> Result<()> {
        let limits = Box::new(limits);
        self.done(by, Request::Limit { jail, limits }).await.map(|_| ())
    }

    /// What a jail has used.
    ///
    /// # Errors
    /// `NotFound`, or see [`TransportError`].
    pub async fn usage(&self, by: &Principal, jail: JailName) -> Result<Usage> {
        match self.0.ask(by, Request::Usage { jail }, Vec::new()).await? {
            (Response::Usage(usage), _) => Ok(*usage),
            _ => Err(self.0.confused()),
        }
    }

    /// The processes in a jail.
    ///
    /// # Errors
    /// `NotFound`, or see [`TransportError`].
    pub async fn processes(&self, by: &Principal, jail: JailName) -> Result<Vec<ProcessInfo>> {
        match self.0.ask(by, Request::Processes { jail }, Vec::new()).await? {
            (Response::Processes(processes), _) => Ok(processes.into_vec()),
            _ => Err(self.0.confused()),
        }
    }

    /// All jails of ours.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn list(&self, by: &Principal) -> Result<Vec<JailInfo>> {
        let mut all: Vec<JailInfo> = Vec::new();
        loop {
            let request = Request::List {
                after: all.last().map(|info| info.jail.clone()),
            };
            match self.0.ask(by, request, Vec::new()).await? {
                (Response::Jails(page), _) if page.as_slice().is_empty() => return Ok(all),
                (Response::Jails(page), _) => all.extend(page.into_vec()),
                _ => return Err(self.0.confused()),
            }
        }
    }
}
