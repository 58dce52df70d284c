//! Who is asking: the runtime user of a call, and how it proves who it is.

use std::sync::Arc;
use std::time::Duration;

use impresario_adapter::{Failure, RuntimeUser};
use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use serde::Serialize;
use tokio::time::timeout;

use super::place::Place;
use super::session::Guest;

/// How long a host may take to believe somebody: what it asks itself may be slow.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How many rounds of questions are answered.
const ROUNDS_MAX: usize = 4;
/// How many keys of an agent are shown to a host, which counts each as a try.
const AGENT_KEYS_MAX: usize = 5;

/// Who is asking. It has no `Debug`: most of it is secret.
#[derive(Clone, Serialize)]
pub(super) struct Identity {
    pub(super) username: String,
    password: Option<String>,
    private_key: Option<String>,
    passphrase: Option<String>,
}

impl Identity {
    /// The runtime user, under its own name on the other side or the one that the place gives.
    pub(super) fn of(user: Option<&RuntimeUser>, place: &Place) -> Result<Self, Failure> {
        let field = |name: &str| user.and_then(|user| user.field(name)).map(str::to_owned);
        let username = field("username").or_else(|| place.username.clone());
        let username = username.filter(|name| !name.is_empty()).ok_or_else(|| {
            Failure::configuration(format!("no user to log in to {} as", place.shown())).with_detail(
                "name a `runtimeUser` that has a `username`, or give the target or the call a `username`",
            )
        })?;
        Ok(Self {
            username,
            password: field("password"),
            private_key: field("privateKey"),
            passphrase: field("passphrase"),
        })
    }

    /// Proves it, with the private key, then the password, else with what the agent of this environment has.
    pub(super) async fn prove(&self, session: &mut Handle<Guest>, place: &Place) -> Result<(), Failure> {
        let key = self.key()?;
        let proof = async {
            let mut tried = Vec::new();
            let mut known = false;
            if let Some(key) = key {
                tried.push("its private key");
                known = self.prove_by_key(session, key).await?;
            }
            if let Some(password) = self.password.as_deref().filter(|_| !known) {
                tried.push("its password");
                known = self.prove_by_password(session, password).await?;
            }
            if tried.is_empty() {
                tried.push("the keys of the SSH agent");
                known = self.prove_by_agent(session).await?;
            }
            Ok::<_, Proof>((known, tried))
        };
        let shown = place.shown();
        let name = &self.username;
        match timeout(AUTHENTICATION_TIMEOUT, proof).await {
            Ok(Ok((true, _))) => Ok(()),
            Ok(Ok((false, tried))) => {
                Err(Failure::new(Failure::AUTHENTICATION, 401, format!("{shown} refuses the user `{name}`"))
                    .with_detail(format!("tried {}; does the host know them?", tried.join(" and "))))
            }
            Ok(Err(Proof::Agent(why))) => Err(Failure::configuration(format!(
                "nothing to show to {shown} for the user `{name}`"
            ))
            .with_detail(format!(
                "the runtime user has neither a `privateKey` nor a `password`, and there is no use in an SSH agent: {why}"
            ))),
            Ok(Err(Proof::Session(error))) => {
                Err(Failure::communication(format!("{shown} broke off before it had accepted the user `{name}`"))
                    .with_detail(error.to_string()))
            }
            Err(_) => Err(Failure::timeout(format!(
                "{shown} took longer than {} s to accept the user `{name}`",
                AUTHENTICATION_TIMEOUT.as_secs()
            ))),
        }
    }

    /// The private key, opened. No part of it is in a failure.
    fn key(&self) -> Result<Option<Arc<PrivateKey>>, Failure> {
        let Some(text) = &self.private_key else { return Ok(None) };
        let key = decode_secret_key(text, self.passphrase.as_deref()).map_err(|_| {
            let name = &self.username;
            Failure::configuration(format!("the `privateKey` for the user `{name}` cannot be read"))
                .with_detail(match &self.passphrase {
                    Some(_) => "expected a private key in the format of OpenSSH, PKCS#8, PKCS#1 or PuTTY, and its own \
                                `passphrase`",
                    None => "expected a private key in the format of OpenSSH, PKCS#8, PKCS#1 or PuTTY; one that is \
                             encrypted needs its `passphrase`",
                })
        })?;
        Ok(Some(Arc::new(key)))
    }

    async fn prove_by_key(
        &self,
        session: &mut Handle<Guest>,
        key: Arc<PrivateKey>,
    ) -> Result<bool, russh::Error> {
        let hash = match key.algorithm() {
            Algorithm::Rsa { .. } => session.best_supported_rsa_hash().await?.flatten(),
            _ => None,
        };
        let key = PrivateKeyWithHashAlg::new(key, hash);
        Ok(session.authenticate_publickey(&self.username, key).await?.success())
    }

    async fn prove_by_password(
        &self,
        session: &mut Handle<Guest>,
        password: &str,
    ) -> Result<bool, russh::Error> {
        match session.authenticate_password(&self.username, password).await? {
            AuthResult::Success => return Ok(true),
            AuthResult::Failure { remaining_methods: left, .. } => {
                if !left.contains(&MethodKind::KeyboardInteractive) {
                    return Ok(false);
                }
            }
        }
        // Many hosts ask for the password in a dialogue instead.
        let mut answer =
            session.authenticate_keyboard_interactive_start(&self.username, None::<String>).await?;
        for _ in 0..ROUNDS_MAX {
            let prompts = match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            // What is typed where everybody can read it is no password.
            let answers = prompts.iter().map(|prompt| match prompt.echo {
                true => String::new(),
                false => password.to_owned(),
            });
            answer = session.authenticate_keyboard_interactive_respond(answers.collect()).await?;
        }
        Ok(false)
    }

    async fn prove_by_agent(&self, session: &mut Handle<Guest>) -> Result<bool, Proof> {
        let unusable = |error: russh::keys::Error| Proof::Agent(error.to_string());
        let mut agent = AgentClient::connect_env().await.map_err(unusable)?;
        let identities = agent.request_identities().await.map_err(unusable)?;
        if identities.is_empty() {
            return Err(Proof::Agent("it has no keys".into()));
        }
        for identity in identities.into_iter().take(AGENT_KEYS_MAX) {
            let AgentIdentity::PublicKey { key, .. } = identity else { continue };
            let hash = match key.algorithm() {
                Algorithm::Rsa { .. } => session.best_supported_rsa_hash().await?.flatten(),
                _ => None,
            };
            // A key that the agent will not use is passed over.
            let answer = session.authenticate_publickey_with(&self.username, key, hash, &mut agent).await;
            if answer.as_ref().is_ok_and(AuthResult::success) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Why nothing could be proved.
enum Proof {
    Session(russh::Error),
    Agent(String),
}

impl From<russh::Error> for Proof {
    fn from(error: russh::Error) -> Self {
        Self::Session(error)
    }
}
