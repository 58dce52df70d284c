//! Files, written and read over SFTP.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

#[tokio::test]
async fn a_file_is_put_and_got() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let path = server.path("a file");
    let put = |more: Value| {
        let mut arguments = json!({"path": path, "content": "naïve\n"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        act(&ssh, server.call("ssh-put", arguments))
    };
    let done = put(json!({})).await.unwrap();
    assert_eq!(done, json!({"path": path, "size": 7, "mode": "0644", "replaced": false}));
    assert_eq!(server.text("a file"), "naïve\n");
    let got = act(&ssh, server.call("ssh-get", json!({"path": path}))).await.unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(got, json!({"content": "naïve\n", "size": 7, "mode": "0644", "modified": metadata.mtime()}));

    put(json!({"mode": "0600"})).await.unwrap();
    let first = std::fs::metadata(&path).unwrap();
    assert_eq!(first.permissions().mode() & 0o7777, 0o600);
    let done = put(json!({"content": {"a": 1}})).await.unwrap();
    assert_eq!((&done["mode"], &done["replaced"]), (&json!("0600"), &json!(true)), "the mode is kept");
    assert_eq!(server.text("a file"), "{\"a\":1}");
    let second = std::fs::metadata(&path).unwrap();
    assert_ne!(first.ino(), second.ino(), "the old file is replaced, not written over");

    put(json!({"content": "/wD+", "encoding": "base64"})).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [0xff, 0, 0xfe]);
    let failure = act(&ssh, server.call("ssh-get", json!({"path": path}))).await.unwrap_err();
    assert!(failure.title.contains("is not text"), "{failure}");
    let got = act(&ssh, server.call("ssh-get", json!({"path": path, "encoding": "base64"}))).await.unwrap();
    assert_eq!(got["content"], json!("/wD+"));
    let left: Vec<_> =
        std::fs::read_dir(server.directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[tokio::test]
async fn large_files_go_through_and_too_large_ones_do_not() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let path = server.path("large");
    let content: String = (0..200_000).map(|number| format!("{number:07}\n")).collect();
    let put = act(&ssh, server.call("ssh-put", json!({"path": path, "content": content}))).await.unwrap();
    assert_eq!(put["size"], json!(1_600_000));
    let got = act(&ssh, server.call("ssh-get", json!({"path": path, "limit": 1_600_000}))).await.unwrap();
    assert!(got["content"] == json!(content));
    let failure = act(&ssh, server.call("ssh-get", json!({"path": path}))).await.unwrap_err();
    assert!(failure.title.contains("more than 1048576 bytes"), "{failure}");
    assert!(failure.detail.unwrap().contains("1600000"));
    let endless =
        act(&ssh, server.call("ssh-get", json!({"path": "/dev/zero", "limit": 100}))).await.unwrap_err();
    assert!(endless.title.contains("more than 100 bytes"), "{endless}");
}

#[tokio::test]
async fn a_link_is_followed_and_stays() {
    let server = Server::start().await;
    let (file, link) = (server.path("file"), server.path("link"));
    std::fs::write(&file, "old").unwrap();
    symlink("file", &link).unwrap();
    once(&server, "ssh-put", json!({"path": link, "content": "new"})).await.unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(server.text("file"), "new");
}

#[tokio::test]
async fn what_cannot_be_read_or_written_says_why() {
    let server = Server::start().await;
    let folder = server.directory.path();
    for (function, path, kind, title) in [
        ("ssh-get", folder.join("absent"), Failure::CONFIGURATION, "no `"),
        ("ssh-get", folder.to_owned(), Failure::CONFIGURATION, "is a directory"),
        ("ssh-put", folder.join("absent/file"), Failure::CONFIGURATION, "no `"),
        ("ssh-put", folder.to_owned(), Failure::CONFIGURATION, "is a directory"),
        ("ssh-put", folder.join("x/"), Failure::VALIDATION, "is not the path of a file"),
    ] {
        let arguments = match function {
            "ssh-put" => json!({"path": path, "content": "x"}),
            _ => json!({"path": path}),
        };
        let failure = once(&server, function, arguments).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.title.contains(title), "{failure}");
    }
    let server = Server::with("ForceCommand internal-sftp -R").await;
    let failure =
        once(&server, "ssh-put", json!({"path": server.path("x"), "content": "x"})).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::AUTHORIZATION, 403), "{failure}");
}

#[tokio::test]
async fn a_host_without_sftp_says_so() {
    let server = Server::with("Subsystem sftp /bin/false").await;
    let failure = once(&server, "ssh-get", json!({"path": "/etc/hostname"})).await.unwrap_err();
    assert_eq!(failure.kind, Failure::COMMUNICATION, "{failure}");
}
