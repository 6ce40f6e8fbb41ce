//! Tests of the process backend: the contract suite of backends, and guarantees that only processes give.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use mcp_orchestrator_core::credential::{Credential, Owner, Revision};
use mcp_orchestrator_core::id::{ServerId, SlotName};
use mcp_orchestrator_core::runtime::{
    Endpoint, Instance, InstanceEvent, InstanceKey, LaunchSpec, LogOptions, ProcessBackend,
    Progress, RuntimeBackend, Scope, SpecDigest,
};
use mcp_orchestrator_core::server::{
    CredentialSlot, Injection, Launch, PortOwner, ProgramTransport, ServerSpec, SlotForm,
};
use mcp_orchestrator_core::testing::runtime::{Script, suite};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};

/// Environment variable with the role of this test executable when a test starts it.
const ROLE: &str = "PROCESS_TEST_ROLE";
/// A variable in the environment of the host that a server inherits.
const WANTED: &str = "PROCESS_TEST_WANTED";
/// A variable in the environment of the host that no server inherits.
const CANARY: &str = "PROCESS_TEST_CANARY";

fn server(name: &str, script: &str) -> ServerSpec {
    ServerSpec::command(ServerId::new(name).unwrap(), "sh", ["-c", script])
}

/// Returns the full name of a test of this file.
fn test(name: &str) -> String {
    let (_, module) = module_path!().split_once("::").unwrap();
    format!("{module}::{name}")
}

/// Returns a server that runs this executable in one of the roles below.
fn role(name: &str) -> ServerSpec {
    let exe = std::env::current_exe().unwrap();
    let args =
        [&test(&format!("{name}_role")), "--exact", "--nocapture"].map(|arg| arg.to_string());
    let id = ServerId::new(name).unwrap();
    let mut server = ServerSpec::command(id, exe.to_str().unwrap(), args);
    server.env.insert(ROLE.into(), name.into());
    server
}

fn file_slot() -> CredentialSlot {
    CredentialSlot {
        name: SlotName::new("token").unwrap(),
        description: None,
        required: true,
        inject: Injection::File {
            name: "token.txt".into(),
            path_env: Some("TOKEN_FILE".into()),
        },
        form: SlotForm::default(),
    }
}

fn fixture(script: Script) -> Option<ServerSpec> {
    Some(match script {
        Script::Echo => ServerSpec::command(ServerId::new("echo").unwrap(), "cat", [""; 0]),
        Script::Fail => server("fail", "echo first words >&2; echo last words >&2; exit 3"),
        Script::Stubborn => server("stubborn", "trap '' TERM; cat; while :; do sleep 60; done"),
        Script::Chatty => server(
            "chatty",
            "i=1; while [ $i -le 100 ]; do echo line $i >&2; i=$((i+1)); done; exec cat",
        ),
        Script::ShowFile => {
            let mut server = server(
                "show",
                r#"while read -r _; do cat "$TOKEN_FILE"; echo; done"#,
            );
            server.slots.push(file_slot());
            server
        }
        Script::Http => {
            let mut server = role("http");
            if let Launch::Program(program) = &mut server.launch {
                program.transport = ProgramTransport::Http {
                    port: None,
                    path: "/mcp".into(),
                    owner: PortOwner::Server,
                };
            }
            server
        }
        Script::Missing => ServerSpec::command(
            ServerId::new("missing").unwrap(),
            "no-such-program",
            [""; 0],
        ),
        _ => return None,
    })
}

struct Bench {
    backend: ProcessBackend,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = ProcessBackend::new(folder.path().join("state"));
        Self { backend, folder }
    }

    async fn start(
        &self,
        server: &ServerSpec,
        tag: &str,
    ) -> mcp_orchestrator_core::Result<Instance> {
        let mut credential = Credential::none();
        for slot in &server.slots {
            credential.values.insert(slot.name.clone(), "s3cret".into());
        }
        let launch = LaunchSpec {
            server: Arc::new(server.clone()),
            credential: Arc::new(credential),
        };
        let (key, progress) = (key(server, tag), Progress::unheard());
        let start = self.backend.start(&key, &launch, &progress);
        start.await
    }
}

fn key(server: &ServerSpec, tag: &str) -> InstanceKey {
    InstanceKey::new(
        server.id.clone(),
        Owner::Organization,
        Revision::none(),
        Scope::Session(tag.into()),
        SpecDigest::from_text("0"),
    )
}

type Reader = BufReader<Box<dyn AsyncRead + Send + Unpin>>;

fn reader(endpoint: &mut Endpoint) -> Reader {
    match endpoint {
        Endpoint::Stream { reader, .. } => {
            BufReader::new(std::mem::replace(reader, Box::new(tokio::io::empty())))
        }
        Endpoint::Http { .. } => panic!("a stream is expected"),
    }
}

async fn line(reader: &mut Reader) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

/// Returns `true` if a process is running. A zombie is not.
fn runs(pid: &str) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", pid])
        .output()
        .unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

async fn gone(pids: impl IntoIterator<Item = String>, within: Duration) {
    let deadline = tokio::time::Instant::now() + within;
    for pid in pids {
        while runs(&pid) {
            let now = tokio::time::Instant::now();
            assert!(now < deadline, "process {pid} still runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn process_backend_upholds_the_backend_contract() {
    let bench = Bench::new();
    suite(&bench.backend, &fixture).await;
    let left = std::fs::read_dir(bench.folder.path().join("state")).unwrap();
    for folder in left {
        let files = std::fs::read_dir(folder.unwrap().path()).unwrap();
        assert_eq!(files.count(), 0, "no secret file is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_holds_for_a_trait_object_on_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let backend: Arc<dyn RuntimeBackend> = Arc::new(ProcessBackend::new(folder.path()));
    suite(&*backend, &fixture).await;
}

#[tokio::test]
async fn child_environment_excludes_variables_of_the_host() {
    let name = "child_environment_excludes_variables_of_the_host";
    if std::env::var(ROLE).as_deref() != Ok("env") {
        let mut host = Command::new(std::env::current_exe().unwrap());
        host.args([&*test(name), "--exact"]).env(ROLE, "env");
        host.env(CANARY, "canary").env(WANTED, "wanted");
        let output = host.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // A name that no test has succeeds as well.
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let bench = Bench::new();
    let mut server = ServerSpec::command(ServerId::new("env").unwrap(), "env", [""; 0]);
    server.env.insert("with.dot".into(), "kept as it is".into());
    server.inherit_env.push(WANTED.into());
    server.slots.push(file_slot());
    let mut instance = bench.start(&server, "").await.unwrap();
    let mut text = String::new();
    reader(&mut instance.endpoint)
        .read_to_string(&mut text)
        .await
        .unwrap();
    let variables: HashMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    assert_eq!(variables["with.dot"], "kept as it is");
    let allowed: BTreeSet<&str> = BTreeSet::from([
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "SHELL",
        "TERM",
        "TMPDIR",
        "with.dot",
        WANTED,
        "TOKEN_FILE",
    ]);
    for name in variables.keys() {
        let network = name.to_ascii_uppercase();
        let network =
            network.ends_with("_PROXY") || network.contains("CA") || network.contains("CERT");
        assert!(
            network || allowed.contains(name),
            "{name} reached the child"
        );
    }
    assert_eq!(variables[WANTED], "wanted");
    assert!(!text.contains("s3cret"));
}

#[tokio::test]
async fn unrunnable_program_is_reported_in_full() {
    let bench = Bench::new();
    let mut missing = ServerSpec::command(ServerId::new("git").unwrap(), "no-such", ["s3cret"]);
    missing.env.insert("PATH".into(), "/nowhere:/else".into());
    let said = bench.start(&missing, "").await.unwrap_err().to_string();
    for part in ["server git", "`no-such`", "/nowhere:/else"] {
        assert!(said.contains(part), "`{said}` names {part}");
    }
    assert!(!said.contains("s3cret"));

    let script = bench.folder.path().join("script");
    for (text, part) in [
        ("#!/no/such/interpreter\n", "interpreter"),
        ("echo", "first line"),
    ] {
        let mut file = std::fs::File::create(&script).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        drop(file);
        make_executable(&script);
        let id = ServerId::new("script").unwrap();
        let server = ServerSpec::command(id, script.to_str().unwrap(), [""; 0]);
        let said = bench.start(&server, "").await.unwrap_err().to_string();
        assert!(said.contains(part), "`{said}` names {part}");
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn exit_before_listening_is_reported_with_the_last_output() {
    let bench = Bench::new();
    let mut server = server("http", "echo cannot bind >&2; exit 4");
    if let Launch::Program(program) = &mut server.launch {
        let path = "/mcp".into();
        program.transport = ProgramTransport::Http {
            port: None,
            path,
            owner: PortOwner::Server,
        };
    }
    let said = bench.start(&server, "").await.unwrap_err().to_string();
    for part in ["before it listened", "exit status 4", "cannot bind"] {
        assert!(said.contains(part), "`{said}` names {part}");
    }
}

#[tokio::test]
async fn stop_ends_the_whole_process_group() {
    let bench = Bench::new();
    let chain = server(
        "chain",
        "trap '' TERM; sh -c \"trap '' TERM; echo \\$\\$; sleep 600\" & echo $$; wait; sleep 600",
    );
    let mut instance = bench.start(&chain, "").await.unwrap();
    let mut reader = reader(&mut instance.endpoint);
    let pids = [line(&mut reader).await, line(&mut reader).await];
    let grace = Duration::from_millis(50);
    bench.backend.stop(&key(&chain, ""), grace).await.unwrap();
    gone(pids, Duration::ZERO).await;
}

#[tokio::test]
async fn descendants_end_with_the_child() {
    let bench = Bench::new();
    let leaver = server("leaver", "sleep 600 & echo $!; exec 1>&-; exit 0");
    let mut instance = bench.start(&leaver, "").await.unwrap();
    let pid = line(&mut reader(&mut instance.endpoint)).await;
    let exit = tokio::time::timeout(Duration::from_secs(5), instance.exited).await;
    assert_eq!(exit.unwrap().reason, "exit status 0");
    bench
        .backend
        .remove(&key(&leaver, ""), Duration::ZERO)
        .await
        .unwrap();
    gone([pid], Duration::from_secs(2)).await;
}

#[tokio::test]
async fn child_in_its_own_process_group_is_stopped() {
    let bench = Bench::new();
    // `timeout` moves itself into a new group.
    let hider = server(
        "hider",
        "exec timeout 600 sh -c \"trap '' TERM; echo \\$\\$; sleep 600\"",
    );
    let mut instance = bench.start(&hider, "").await.unwrap();
    let pid = line(&mut reader(&mut instance.endpoint)).await;
    let grace = Duration::from_millis(50);
    bench.backend.stop(&key(&hider, ""), grace).await.unwrap();
    gone([pid], Duration::ZERO).await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn grandchild_in_its_own_session_is_stopped() {
    let bench = Bench::new();
    let hider = server(
        "hider",
        "setsid sh -c \"trap '' TERM HUP; echo \\$\\$; sleep 600\" & cat; wait",
    );
    let mut instance = bench.start(&hider, "").await.unwrap();
    let pid = line(&mut reader(&mut instance.endpoint)).await;
    let grace = Duration::from_millis(50);
    bench.backend.stop(&key(&hider, ""), grace).await.unwrap();
    gone([pid], Duration::ZERO).await;
}

#[tokio::test]
async fn child_cannot_write_a_core_file() {
    let bench = Bench::new();
    let limited = server("limited", "read -r _; ulimit -c; ulimit -Hc");
    let mut instance = bench.start(&limited, "").await.unwrap();
    if let Endpoint::Stream { writer, .. } = &mut instance.endpoint {
        writer.write_all(b"\n").await.unwrap();
    }
    let mut reader = reader(&mut instance.endpoint);
    assert_eq!(line(&mut reader).await, "0");
    assert_eq!(line(&mut reader).await, "0");
}

#[tokio::test]
async fn unpassable_arguments_and_variables_are_reported() {
    let bench = Bench::new();
    let mut large = server("large", "cat");
    large.env.insert("BIG".into(), "x".repeat(200_000).into());
    let mut broken = server("broken", "cat");
    broken.env.insert("CUT".into(), "s3cret\0x".into());
    let arg = server("arg", "cat\0s3cret");
    for (server, parts) in [
        (&large, ["variable, BIG, has 200000 bytes", "in a file"]),
        (&broken, ["variable CUT", "NUL"]),
        (&arg, ["argument 2", "NUL"]),
    ] {
        let said = bench.start(server, "").await.unwrap_err();
        let said = format!("{said}");
        for part in parts {
            assert!(said.contains(part), "`{said}` names {part}");
        }
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[tokio::test]
async fn stderr_flood_is_bounded() {
    let bench = Bench::new();
    let flood = server(
        "flood",
        "head -c 20000000 /dev/zero >&2; echo >&2; yes flood | head -n 100000 >&2; exec cat",
    );
    let mut instance = bench.start(&flood, "").await.unwrap();
    let mut reader = reader(&mut instance.endpoint);
    if let Endpoint::Stream { writer, .. } = &mut instance.endpoint {
        writer.write_all(b"alive\n").await.unwrap();
    }
    assert_eq!(line(&mut reader).await, "alive");
    let key = key(&flood, "");
    let logs = bench.backend.logs(&key, LogOptions::default());
    let lines = logs.await.unwrap().count().await;
    assert!((1..=1000).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn hundred_concurrent_starts_succeed() {
    let bench = Bench::new();
    let echo = fixture(Script::Echo).unwrap();
    let tags: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let starts = join_all(tags.iter().map(|tag| bench.start(&echo, tag))).await;
    let mut pids = BTreeSet::new();
    let mut watch = bench.backend.watch();
    while let Some(Ok(InstanceEvent::Is(status))) = watch.next().await {
        let (_, pid) = status
            .place
            .into_iter()
            .find(|(name, _)| *name == "pid")
            .unwrap();
        pids.insert(pid);
    }
    assert_eq!(pids.len(), 100);
    for mut instance in starts.into_iter().map(Result::unwrap) {
        let mut reader = reader(&mut instance.endpoint);
        if let Endpoint::Stream { writer, .. } = &mut instance.endpoint {
            writer.write_all(b"hello\n").await.unwrap();
        }
        assert_eq!(line(&mut reader).await, "hello");
    }
    // The loop above dropped their instances.
    gone(pids, Duration::from_secs(10)).await;
}

#[tokio::test]
async fn dropping_the_backend_ends_all_processes() {
    let bench = Bench::new();
    let mut stubborn = server(
        "stubborn",
        "trap '' TERM; echo $$; while :; do sleep 60; done",
    );
    stubborn.slots.push(file_slot());
    let mut instance = bench.start(&stubborn, "").await.unwrap();
    let pid = line(&mut reader(&mut instance.endpoint)).await;
    let Bench { backend, folder } = bench;
    drop(backend);
    gone([pid], Duration::from_secs(3)).await;
    instance.exited.await;
    until_empty(&folder.path().join("state")).await;
}

/// Waits until the guard has removed the directories with secrets.
async fn until_empty(folder: &Path) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while std::fs::read_dir(folder).unwrap().count() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "secrets are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn killing_the_host_leaves_no_child() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args([&*test("host_role"), "--exact", "--nocapture"])
        .env(ROLE, "host")
        .env("PROCESS_TEST_FOLDER", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pids = Vec::new();
    let output = std::io::BufReader::new(host.stdout.take().unwrap());
    for line in std::io::BufRead::lines(output) {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some(("child", pid)) => pids.push(pid.to_owned()),
            Some(("ready", _)) => break,
            _ => {}
        }
    }
    assert_eq!(pids.len(), 8);
    assert!(pids.iter().all(|pid| runs(pid)), "all run");
    host.kill().unwrap();
    host.wait().unwrap();
    gone(pids, Duration::from_secs(2)).await;
    until_empty(&folder.path().join("state")).await;
}

#[tokio::test]
async fn dead_guard_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let backend = ProcessBackend::new(folder.path());
    let marker = folder.path().to_str().unwrap().to_owned();
    let bench = Bench { backend, folder };
    let server = server("kept", "trap '' TERM; echo $$; while :; do sleep 60; done");
    let mut instance = bench.start(&server, "").await.unwrap();
    let pid = line(&mut reader(&mut instance.endpoint)).await;
    let guard = guard(&marker).expect("a guard runs");
    let killed = Command::new("kill").args(["-9", &guard]).status().unwrap();
    assert!(killed.success());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while self::guard(&marker).is_none_or(|new| new == guard) {
        assert!(tokio::time::Instant::now() < deadline, "no new guard");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(runs(&pid));
    drop(bench);
    gone([pid], Duration::from_secs(3)).await;
}

/// Returns the process ID of the guard of the backend with its files below this directory.
fn guard(folder: &str) -> Option<String> {
    let output = Command::new("ps")
        .args(["-eo", "pid=,stat=,args="])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found = text
        .lines()
        .map(str::trim)
        .filter(|line| line.contains(folder));
    let line = found.find(|line| !line.split_whitespace().nth(1).unwrap().starts_with('Z'))?;
    line.split_whitespace().next().map(str::to_owned)
}

// Roles of this executable when a test starts it.

#[tokio::test]
async fn host_role() {
    if std::env::var(ROLE).as_deref() != Ok("host") {
        return;
    }
    let folder = std::env::var_os("PROCESS_TEST_FOLDER").unwrap();
    let backend = ProcessBackend::new(Path::new(&folder).join("state"));
    let bench = Bench {
        backend,
        folder: tempfile::tempdir_in(&folder).unwrap(),
    };
    let ignores = "trap '' TERM INT HUP; ";
    let scripts = [
        format!("{ignores} echo $$ $$; while :; do sleep 60; done"),
        format!("{ignores} sh -c \"{ignores} sleep 600\" & echo $$ $!; while :; do sleep 60; done"),
        "sleep 600 & echo $$ $!; wait".to_owned(),
        format!("exec timeout 600 sh -c \"{ignores} echo \\$\\$ \\$\\$; sleep 600\""),
    ];
    let mut kept = Vec::new();
    for (number, script) in scripts.iter().enumerate() {
        let mut server = server("child", script);
        server.slots.push(file_slot());
        let mut instance = bench.start(&server, &number.to_string()).await.unwrap();
        let pids = line(&mut reader(&mut instance.endpoint)).await;
        for pid in pids.split(' ') {
            println!("child {pid}");
        }
        kept.push(instance);
    }
    println!("ready now");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn http_role() {
    if std::env::var(ROLE).as_deref() != Ok("http") {
        return;
    }
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .unwrap();
    loop {
        let _accepted = listener.accept().await;
    }
}
