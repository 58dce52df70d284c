//! Whom the adapter believes, and who believes it.

use std::sync::Arc;

use russh::keys::ssh_key::HashAlg;
use russh::keys::{PrivateKey, PublicKey, decode_secret_key};
use russh::server::{Auth, Config, Handler, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::TcpListener;

use super::server::{keygen, me, user};
use super::*;

const RUN: &str = "echo in";

fn run() -> Value {
    json!({"command": RUN, "return": "stdout"})
}

#[tokio::test]
async fn a_host_is_believed_by_its_key_its_fingerprint_or_a_file() {
    let server = Server::start().await;
    let key = PublicKey::from_openssh(&server.host_key()).unwrap();
    let rsa = server.text("host-rsa.pub");
    let known_hosts = server.path("known_hosts");
    std::fs::write(&known_hosts, format!("[127.0.0.1]:{} {}", server.port, server.host_key())).unwrap();
    for properties in [
        json!({"hostKey": server.host_key()}),
        json!({"hostKey": [rsa.clone(), server.host_key()]}),
        json!({"hostKey": key.fingerprint(HashAlg::Sha256).to_string()}),
        // The host shows another key first: the one that is known is asked for.
        json!({"hostKey": rsa}),
        json!({"knownHosts": known_hosts}),
    ] {
        let target = Some(server.target_with(properties.clone()));
        let call = Call { target, ..server.call("ssh-run", run()) };
        assert_eq!(act(&Ssh::new(), call).await.unwrap(), json!("in\n"), "{properties}");
    }
    // The same without a target.
    let mut arguments = run();
    let direct = json!({"host": "127.0.0.1", "port": server.port, "hostKey": server.host_key()});
    arguments.as_object_mut().unwrap().extend(direct.as_object().unwrap().clone());
    let call = Call { target: None, ..server.call("ssh-run", arguments) };
    assert_eq!(act(&Ssh::new(), call).await.unwrap(), json!("in\n"));
}

#[tokio::test]
async fn a_host_that_nobody_vouches_for_gets_nothing() {
    let server = Server::start().await;
    let other = Server::start().await;
    let empty = server.path("empty");
    std::fs::write(&empty, "").unwrap();
    let print = PublicKey::from_openssh(&server.host_key()).unwrap().fingerprint(HashAlg::Sha256).to_string();
    for (properties, title) in [
        (json!({"knownHosts": empty}), "is not known"),
        (json!({"hostKey": other.host_key()}), "is not the known one"),
    ] {
        let target = Some(server.target_with(properties));
        let call = Call { target, ..server.call("ssh-run", run()) };
        let failure = act(&Ssh::new(), call).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.status), (Failure::CONFIGURATION, 400));
        assert!(failure.title.ends_with(title), "{failure}");
        assert!(failure.detail.unwrap().contains(&print));
    }
    let call = Call {
        target: Some(server.target_with(json!({"knownHosts": "/no/such"}))),
        ..server.call("ssh-run", run())
    };
    assert!(act(&Ssh::new(), call).await.unwrap_err().title.contains("`/no/such` cannot be read"));
    for sshd in server.take() {
        sshd.wait_with_output().await.unwrap();
    }
    let log = std::fs::read_to_string(server.path("log")).unwrap();
    assert!(!log.contains("Accepted"), "nobody may have logged in: {log}");
}

#[tokio::test]
async fn private_keys_open_with_their_passphrase() {
    let server = Server::start().await;
    let sealed = server.text("sealed");
    let with =
        |passphrase: &str| user(&[("username", &me()), ("privateKey", &sealed), ("passphrase", passphrase)]);
    let output = act(&Ssh::new(), as_user(&server, with("open sesame"), run())).await.unwrap();
    assert_eq!(output, json!("in\n"));
    let without = user(&[("username", &me()), ("privateKey", &sealed)]);
    let garbled = user(&[("username", &me()), ("privateKey", "-----BEGIN hush-----\nhush\n")]);
    for user in [with("hush"), without, garbled] {
        let failure = act(&Ssh::new(), as_user(&server, user, run())).await.unwrap_err();
        assert_eq!(failure.kind, Failure::CONFIGURATION);
        assert!(failure.title.contains("`privateKey`") && !failure.to_string().contains("hush"), "{failure}");
    }
}

#[tokio::test]
async fn keys_of_each_kind_log_in() {
    let server = Server::start().await;
    for kind in ["rsa", "ecdsa"] {
        let path = server.path(kind);
        keygen(&path, kind, "").await;
        std::fs::write(server.path("authorized_keys"), server.text(&format!("{kind}.pub"))).unwrap();
        let user = user(&[("username", &me()), ("privateKey", &server.text(kind))]);
        let output = act(&Ssh::new(), as_user(&server, user, run())).await;
        assert_eq!(output.unwrap(), json!("in\n"), "{kind}");
    }
}

#[tokio::test]
async fn somebody_whom_the_host_does_not_know_is_refused() {
    let server = Server::start().await;
    keygen(&server.path("stranger"), "ed25519", "").await;
    let stranger =
        user(&[("username", &me()), ("privateKey", &server.text("stranger")), ("password", "hush")]);
    let failure = act(&Ssh::new(), as_user(&server, stranger, run())).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::AUTHENTICATION, 401));
    assert!(failure.title.contains("refuses the user"), "{failure}");
    let detail = failure.detail.unwrap();
    assert!(detail.contains("private key and its password") && !detail.contains("hush"), "{detail}");
}

/// A server that knows one password, and asks for it the way it likes. OpenSSH asks the system for passwords, which a
/// test cannot set.
#[derive(Clone)]
struct Passwords {
    dialogue: bool,
}

impl Passwords {
    async fn start(dialogue: bool) -> (u16, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host");
        keygen(&path, "ed25519", "").await;
        let key: PrivateKey = decode_secret_key(&std::fs::read_to_string(&path).unwrap(), None).unwrap();
        let public = key.public_key().to_openssh().unwrap();
        let method = if dialogue { MethodKind::KeyboardInteractive } else { MethodKind::Password };
        let config = Arc::new(Config {
            keys: vec![key],
            methods: MethodSet::from(&[method][..]),
            auth_rejection_time: std::time::Duration::ZERO,
            ..Config::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let session = russh::server::run_stream(Arc::clone(&config), stream, Self { dialogue });
                tokio::spawn(async move { drop(session.await.unwrap().await) });
            }
        });
        (port, public)
    }

    fn judge(&self, user: &str, password: &str) -> Auth {
        if (user, password) == ("ada", "correct horse") { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Passwords {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(if self.dialogue { Auth::reject() } else { self.judge(user, password) })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(mut response) = response else {
            let prompts = vec![("Your colour: ".into(), true), ("Password: ".into(), false)];
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() });
        };
        let answers: Vec<String> =
            response.by_ref().map(|answer| String::from_utf8_lossy(&answer).into_owned()).collect();
        assert_eq!(answers[0], "", "a password is not told where it can be read");
        Ok(self.judge(user, &answers[1]))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: russh::server::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        session.data(channel, command.to_vec())?;
        session.exit_status_request(channel, 0)?;
        session.eof(channel)?;
        session.close(channel)
    }
}

#[tokio::test]
async fn passwords_are_told_in_one_message_or_in_a_dialogue() {
    for dialogue in [false, true] {
        let (port, key) = Passwords::start(dialogue).await;
        let with = |password: &str| {
            let arguments = json!({
                "command": RUN, "return": "stdout", "host": "127.0.0.1", "port": port, "hostKey": key,
            });
            let user = Some(user(&[("username", "ada"), ("password", password)]));
            Call { function: "ssh-run".into(), arguments, user, ..Call::default() }
        };
        let ssh = Ssh::new();
        assert_eq!(act(&ssh, with("correct horse")).await.unwrap(), json!(RUN), "{dialogue}");
        let failure = act(&ssh, with("wrong horse")).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.status), (Failure::AUTHENTICATION, 401), "{failure}");
        assert!(!failure.to_string().contains("horse"), "{failure}");
    }
}
