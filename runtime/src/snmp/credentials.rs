//! Whom the SNMP listener hears: communities and users of version 3, as runtime users have them.

use std::collections::BTreeMap;
use std::fmt;

use async_snmp::{AuthProtocol, PrivProtocol, SecurityLevel, UsmUser};
use impresario_actors::secrets::Resolver;
use impresario_adapter::RuntimeUser;
use impresario_config::Names;
use zeroize::Zeroizing;

/// A user of version 3.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct V3User {
    auth: (AuthProtocol, Zeroizing<String>),
    privacy: Option<(PrivProtocol, Zeroizing<String>)>,
}

impl V3User {
    /// What its messages have to be: a lower level than it could have is somebody else's.
    pub(super) fn level(&self) -> SecurityLevel {
        match self.privacy {
            Some(_) => SecurityLevel::AuthPriv,
            None => SecurityLevel::AuthNoPriv,
        }
    }

    /// Gives its passwords to the library.
    pub(super) fn configure(&self, user: UsmUser) -> async_snmp::CryptoResult<UsmUser> {
        let (protocol, password) = &self.auth;
        match &self.privacy {
            None => user.auth(*protocol, password.as_bytes()),
            Some((privacy, secret)) => {
                user.auth_priv(*protocol, password.as_bytes(), *privacy, secret.as_bytes())
            }
        }
    }
}

/// Whom to hear.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// Of versions 1 and 2c.
    pub communities: Vec<Zeroizing<String>>,
    /// Of version 3, by user name.
    pub users: BTreeMap<String, V3User>,
    /// What is wrong with runtime users, without a value of them.
    pub problems: Vec<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users: Vec<&String> = self.users.keys().collect();
        f.debug_struct("Credentials")
            .field("communities", &self.communities.len())
            .field("users", &users)
            .field("problems", &self.problems)
            .finish()
    }
}

impl Credentials {
    /// Reads them from the runtime users that the setting names; what one of them lacks is told, and the others count.
    pub(super) fn read(names: &Names, secrets: &dyn Resolver) -> Credentials {
        let mut credentials = Credentials::default();
        for name in &names.0 {
            let user = secrets.user(name.as_str()).map_err(|failure| failure.detail.unwrap_or(failure.title));
            if let Err(problem) = user.and_then(|user| credentials.add(&user)) {
                credentials.problems.push(format!("runtime user '{name}': {problem}"));
            }
        }
        credentials
    }

    /// Whether anybody would be heard.
    pub(super) fn any(&self) -> bool {
        !self.communities.is_empty() || !self.users.is_empty()
    }

    fn add(&mut self, user: &RuntimeUser) -> Result<(), String> {
        let secret = |name: &str| user.field(name).map(|value| Zeroizing::new(value.to_owned()));
        let community = secret("community");
        let has_community = community.is_some();
        self.communities.extend(community);
        let Some(name) = user.field("username") else {
            return if has_community {
                Ok(())
            } else {
                Err("expected a field 'community' (v1, v2c), or 'username' and 'authPassword' (v3), found neither".to_owned())
            };
        };
        let auth_password = secret("authPassword").ok_or(
            "expected a field 'authPassword' beside 'username', found none: whoever is not authenticated is not heard",
        )?;
        let auth = protocol(user, "authProtocol", "SHA-256")?;
        let privacy = match secret("privPassword") {
            None => None,
            Some(password) => {
                let privacy: PrivProtocol = protocol(user, "privProtocol", "AES-128")?;
                if matches!(privacy, PrivProtocol::Des | PrivProtocol::Des3) {
                    return Err(
                        "expected AES in 'privProtocol', found DES, which is not offered: it can be broken"
                            .to_owned(),
                    );
                }
                Some((privacy, password))
            }
        };
        let known = V3User { auth: (auth, auth_password), privacy };
        // The library refuses passwords that the protocol does: told here, once, and not at each attempt to listen.
        known.configure(UsmUser::new(name.to_owned())).map_err(|error| error.to_string())?;
        self.users.insert(name.to_owned(), known);
        Ok(())
    }
}

fn protocol<T: std::str::FromStr>(user: &RuntimeUser, field: &str, default: &str) -> Result<T, String>
where
    T::Err: fmt::Display,
{
    user.field(field)
        .unwrap_or(default)
        .parse()
        .map_err(|error| format!("expected a protocol such as {default} in '{field}', found: {error}"))
}
