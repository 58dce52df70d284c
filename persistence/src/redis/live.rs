//! One connection that was found good, and what its answers mean.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use tokio::time::timeout;

use super::config::{RedisConfig, TlsConfig};
use crate::StoreError;

/// A host and a port.
pub(super) type Address = (String, u16);

/// What a command of this many bytes may take longer, by the second.
const BYTES_A_SECOND: usize = 8 * 1024 * 1024;

/// Why a command has no result.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The connection is of no more use. Whether the command was carried out is not known: the same may be sent again.
    Lost(String),
    /// The server refused it; nothing was done.
    Refused(StoreError),
}

impl Trouble {
    /// For commands that change nothing.
    pub(super) fn into_store(self) -> StoreError {
        match self {
            Trouble::Lost(reason) => StoreError::Away(reason),
            Trouble::Refused(error) => error,
        }
    }

    /// What happened, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Trouble::Lost(reason) => reason.clone(),
            Trouble::Refused(error) => super::link::words(error),
        }
    }
}

/// A connection to a server that is the right one.
#[derive(Clone)]
pub(super) struct Live {
    /// Counts the connections of a link.
    pub(super) generation: u64,
    /// Where it goes.
    pub(super) address: Address,
    connection: MultiplexedConnection,
    timeout: Duration,
}

impl Live {
    /// Connects to a server and shows the credentials, if there are any.
    pub(super) async fn connect(
        config: &RedisConfig,
        address: &Address,
        credentials: bool,
        generation: u64,
    ) -> Result<Live, Trouble> {
        let place = || format!("{}:{}", address.0, address.1);
        let client = client(config, address, credentials).await.map_err(Trouble::Refused)?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.timeout))
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&settings);
        match timeout(config.timeout, connecting).await {
            Ok(Ok(connection)) => {
                Ok(Live { generation, address: address.clone(), connection, timeout: config.timeout })
            }
            Ok(Err(error)) => Err(on_connect(&place(), &error, config)),
            Err(_) => Err(Trouble::Lost(format!("{} did not answer within {:?}", place(), config.timeout))),
        }
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Trouble> {
        self.ask_within(command, Duration::ZERO).await
    }

    /// Like [`Live::ask`], for a command that the server holds back for up to `held`.
    pub(super) async fn ask_within(&self, command: &Cmd, held: Duration) -> Result<Value, Trouble> {
        let size: usize = command
            .args_iter()
            .map(|arg| if let redis::Arg::Simple(arg) = arg { arg.len() } else { 0 })
            .sum();
        let limit = self.limit(size) + held;
        let mut connection = self.connection.clone();
        let answer = self.within(limit, connection.send_packed_command(command)).await?;
        self.check(answer)
    }

    /// Sends commands together; answers in their order.
    pub(super) async fn ask_all(&self, commands: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let count = commands.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut connection = self.connection.clone();
        let answers = self.within(self.limit(0), connection.send_packed_commands(commands, 0, count)).await?;
        answers.into_iter().map(|answer| self.check(answer)).collect()
    }

    fn limit(&self, size: usize) -> Duration {
        self.timeout + Duration::from_millis(u64::try_from(size * 1000 / BYTES_A_SECOND).unwrap_or(u64::MAX))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Trouble> {
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.trouble(&error)),
            Err(_) => Err(Trouble::Lost(format!("{} did not answer within {limit:?}", self.place()))),
        }
    }

    fn check(&self, answer: Value) -> Result<Value, Trouble> {
        match answer.extract_error() {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.address.0, self.address.1)
    }

    fn trouble(&self, error: &RedisError) -> Trouble {
        let words = format!("{}: {error}", self.place());
        let Some(code) = error.code() else {
            return Trouble::Lost(words);
        };
        let missing = error.detail().is_some_and(|detail| detail.contains("Function not found"));
        match code {
            "OOM" | "MISCONF" => Trouble::Refused(StoreError::Full(words)),
            // The wrong server, or one that cannot answer at the moment, or that has lost our functions or our rights:
            // what greets the next connection finds out, and says so.
            "READONLY" | "LOADING" | "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY"
            | "NOREPLICAS" | "NOAUTH" | "WRONGPASS" | "NOPERM" => Trouble::Lost(words),
            _ if missing => Trouble::Lost(words),
            _ => Trouble::Refused(StoreError::Failed(words)),
        }
    }
}

async fn client(config: &RedisConfig, address: &Address, credentials: bool) -> Result<Client, StoreError> {
    let refused = |error: RedisError| StoreError::Refused(format!("the settings for Redis: {error}"));
    let (host, port) = address.clone();
    let addr = match &config.tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let mut redis = RedisConnectionInfo::default();
    if credentials {
        if let Some(user) = &config.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &config.password {
            redis = redis.set_password(password);
        }
    }
    let tcp = redis::io::tcp::TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(redis::io::tcp::socket2::TcpKeepalive::new().with_time(Duration::from_secs(5)))
        .set_user_timeout(config.timeout * 5);
    let info = addr.into_connection_info().map_err(refused)?.set_redis_settings(redis).set_tcp_settings(tcp);
    match &config.tls {
        None => Client::open(info).map_err(refused),
        Some(tls) => {
            // Whoever runs the process has chosen already, or does not care.
            drop(rustls::crypto::ring::default_provider().install_default());
            Client::build_with_tls(info, certificates(tls).await?).map_err(refused)
        }
    }
}

async fn certificates(tls: &TlsConfig) -> Result<TlsCertificates, StoreError> {
    let read = async |path: &std::path::PathBuf| {
        let read = tokio::task::spawn_blocking({
            let path = path.clone();
            move || std::fs::read(path)
        });
        let bytes = read.await.map_err(std::io::Error::other).and_then(|read| read);
        bytes.map_err(|error| {
            StoreError::Refused(format!("cannot read {} for TLS to Redis: {error}", path.display()))
        })
    };
    let root_cert = match &tls.ca {
        Some(path) => Some(read(path).await?),
        None => None,
    };
    let client_tls = match &tls.certificate {
        Some((certificate, key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate).await?, client_key: read(key).await? })
        }
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

/// What a failure to connect means: some do not pass by themselves, and are said so.
fn on_connect(place: &str, error: &RedisError, config: &RedisConfig) -> Trouble {
    if error.is_timeout() {
        let hint = if config.tls.is_some() { ": does it speak TLS?" } else { "" };
        return Trouble::Lost(format!("{place} did not answer within {:?}{hint}", config.timeout));
    }
    let text = error.to_string();
    let refused = |what: String| Trouble::Refused(StoreError::Refused(what));
    if error.kind() == redis::ErrorKind::AuthenticationFailed {
        let who = config.user.as_deref().unwrap_or("default");
        return refused(format!(
            "{place} does not accept the password of the user '{who}': correct user and password, or the server's \
             access control list"
        ));
    }
    if text.to_ascii_lowercase().contains("certificate") {
        return refused(format!(
            "{place}: TLS failed: {text}: check `ca`, `certificate` and the name of the server"
        ));
    }
    let hint =
        if config.tls.is_none() && error.is_connection_dropped() { " (perhaps it expects TLS)" } else { "" };
    Trouble::Lost(format!("{place}: {text}{hint}"))
}

/// A random number, for names that must be unique and for delays that must not be alike.
pub(super) fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
