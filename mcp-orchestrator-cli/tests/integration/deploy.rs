//! Tests of `quickstart` and `purge`.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where its ground does not hold"
)]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{self, Site};

#[test]
fn purge_asks_first_and_removes_only_its_own_files() {
    let site = Site::with_servers();
    site.run_with(
        &["add", "kept", "--secret-env", "TOKEN=-", "--", "sh"],
        "s3cret\n",
    )
    .ok();
    let secrets = site.state.join("secrets");
    let kept = || fs::read_dir(&secrets).unwrap().count();
    let mut up = site.up();
    let refused = site.run(&["purge", "--yes"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains(&up.pid().to_string()), "{refused:?}");
    up.end();

    fs::write(site.state.join("notes.txt"), "mine").unwrap();
    for answer in ["", "n\n", "no\n"] {
        let asked = site.run_with(&["purge"], answer);
        assert_eq!(asked.code, 1, "{asked:?}");
        assert!(asked.err.contains("state.key"), "{}", asked.err);
        assert!(asked.err.contains("nothing was deleted"), "{}", asked.err);
        assert_eq!(kept(), 1);
    }

    let done = site.run_with(&["purge"], "y\n");
    let text = done.ok();
    assert!(
        text.contains("removed ") && text.contains("secrets"),
        "{text}"
    );
    assert!(done.err.contains("what is not ours"), "{}", done.err);
    let left: Vec<_> = fs::read_dir(&site.state).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    fs::remove_file(site.state.join("notes.txt")).unwrap();
    let again = site.run(&["purge", "--yes", "-o", "json"]).json();
    assert_eq!(again, json!({ "removed": [] }));
    site.up().end();
    let all = site.run(&["purge", "--yes", "-o", "json"]).json();
    let key = site.state.join("state.key").display().to_string();
    assert!(
        all["removed"].as_array().unwrap().contains(&json!(key)),
        "{all}"
    );
    assert!(!site.state.exists());
}

#[test]
fn purge_reports_why_it_cannot_use_the_cluster() {
    let site = Site::with_servers();
    let nowhere = site.dir().join("kubeconfig");
    let kubeconfig = nowhere.display().to_string();
    let named = ["purge", "--yes", "--name", "x", "--kubeconfig", &kubeconfig];
    let lost = support::bare(site.dir(), &named);
    assert_eq!(lost.code, 2, "{lost:?}");
    assert!(lost.err.contains("is not there"), "{}", lost.err);
    let both = site.run(&["purge", "--name", "x"]);
    assert_eq!(both.code, 2, "{both:?}");
}

/// Creates a fake program for `PATH`. It records its arguments and standard input, and responds as scripted.
fn stand_in(folder: &Path, name: &str, answers: &str) {
    let calls = folder.join("calls");
    let calls = calls.display();
    let script = format!(
        "#!/bin/sh\nprintf '%s' {name} >>'{calls}'\nprintf ' [%s]' \"$@\" >>'{calls}'\nprintf '\\n' >>'{calls}'\n{answers}\n"
    );
    let file = folder.join("bin").join(name);
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Creates a directory with fakes of all programs that a kind cluster needs.
fn with_stand_ins() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    symlink("/bin/sh", dir.path().join("bin/sh")).unwrap();
    let clusters = dir.path().join("clusters");
    let (clusters, applied) = (clusters.display(), dir.path().join("applied"));
    stand_in(
        dir.path(),
        "kind",
        &format!(
            "case \"$1 $2\" in 'get clusters') [ ! -e '{clusters}' ] || while read -r line; do printf '%s\\n' \"$line\"; done <'{clusters}' ;;\n\
             'create cluster') printf '%s\\n' \"$4\" >>'{clusters}' ;; esac"
        ),
    );
    stand_in(
        dir.path(),
        "docker",
        "case \"$1 $3\" in 'image local/gateway:1') exit 0 ;; image*) exit 1 ;; esac",
    );
    let applied = applied.display();
    stand_in(
        dir.path(),
        "kubectl",
        &format!(
            "case \"$3\" in apply) while IFS= read -r line; do printf '%s\\n' \"$line\"; done >'{applied}' ;; esac"
        ),
    );
    dir
}

fn quickstart(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-orchestrator"));
    command
        .arg("quickstart")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", dir.join("bin"))
        .env("HOME", dir.join("home"))
        .env("XDG_RUNTIME_DIR", dir);
    command
}

fn ran(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = quickstart(dir, args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn calls(dir: &Path) -> String {
    let calls = fs::read_to_string(dir.join("calls")).unwrap_or_default();
    fs::write(dir.join("calls"), "").unwrap();
    calls
}

#[test]
fn quickstart_creates_a_kind_cluster_once_and_deploys_to_it() {
    let dir = with_stand_ins();
    let args = ["--name", "try", "--image", "local/gateway:1"];
    let (code, out, err) = ran(dir.path(), &args);
    assert_eq!(code, 0, "{out}{err}");
    let reach = "kubectl --context kind-try --namespace mcp-orchestrator port-forward deploy/mcp-orchestrator 8080";
    assert!(out.contains(reach), "{out}");
    assert!(out.contains("kind delete cluster --name try"), "{out}");
    let first = calls(dir.path());
    for call in [
        "docker [version] [--format] [{{.Server.Version}}]\n",
        "kind [get] [clusters]\n",
        "kind [create] [cluster] [--name] [try]\n",
        "kind [load] [docker-image] [local/gateway:1] [--name] [try]\n",
        "kubectl [--context] [kind-try] [apply] [--server-side] [-f] [-]\n",
        "kubectl [--context] [kind-try] [--namespace] [mcp-orchestrator] [rollout] [status]",
    ] {
        assert!(first.contains(call), "{call} in {first}");
    }
    let applied = fs::read_to_string(dir.path().join("applied")).unwrap();
    assert!(applied.contains("image: \"local/gateway:1\""), "{applied}");
    assert!(applied.contains(r#""args":["hello-server"]"#), "{applied}");

    // Again, with a configuration file and an image that the cluster pulls.
    fs::write(
        dir.path().join("my.yaml"),
        "servers:\n  a: {url: 'https://a.example/mcp'}\n",
    )
    .unwrap();
    let args = [
        "--name",
        "try",
        "--image",
        "far/gateway:2",
        "--config",
        "my.yaml",
    ];
    let (code, out, err) = ran(dir.path(), &args);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("is there already"), "{err}");
    let second = calls(dir.path());
    assert!(
        !second.contains("[create]") && !second.contains("[load]"),
        "{second}"
    );
    let applied = fs::read_to_string(dir.path().join("applied")).unwrap();
    assert!(
        applied.contains("      a: {url: 'https://a.example/mcp'}\n"),
        "{applied}"
    );

    stand_in(
        dir.path(),
        "kubectl",
        "echo 'the server could not find it' >&2; exit 7",
    );
    let (code, _, err) = ran(dir.path(), &["--name", "try"]);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("could not find it") && err.contains("exit status: 7"),
        "{err}"
    );
    let (code, _, err) = ran(dir.path(), &["--name", "--force"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn quickstart_names_missing_tools_and_falls_back_to_a_local_gateway() {
    let dir = with_stand_ins();
    for (missing, why) in [
        ("kubectl", "there is no kubectl in PATH"),
        ("docker", "there is no docker in PATH"),
        ("kind", "there is no kind in PATH"),
    ] {
        fs::remove_file(dir.path().join("bin").join(missing)).unwrap();
        let (code, _, err) = ran(dir.path(), &["--in", "kind"]);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(why), "{err}");
    }
    for (made, args) in [
        (true, vec![]),
        (false, vec!["--config", "mcp-orchestrator.yaml"]),
    ] {
        let mut here = quickstart(dir.path(), &args);
        here.args(["--listen", "127.0.0.1:0"]);
        let log = File::create(dir.path().join("log")).unwrap();
        let mut here = here.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(here.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        assert!(
            line.starts_with("listening on http://127.0.0.1:"),
            "{line}{log}"
        );
        assert!(
            log.contains("there is no kind in PATH: the gateway runs on this machine"),
            "{log}"
        );
        assert_eq!(
            log.contains("was made, with a small server in it"),
            made,
            "{log}"
        );

        let greeted = support::bare(dir.path(), &["call", "hello", "greet", "--arg", "name=Ann"]);
        let ended = Command::new("kill").arg(here.id().to_string()).status();
        assert!(here.wait().unwrap().success() && ended.unwrap().success());
        assert_eq!(greeted.ok(), "Hello, Ann!\n");
    }
}

#[test]
fn quickstart_fails_if_docker_is_not_running() {
    let dir = with_stand_ins();
    stand_in(dir.path(), "docker", "exit 1");
    let (code, _, err) = ran(dir.path(), &["--in", "kind"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("Docker does not run"), "{err}");
    assert!(!calls(dir.path()).contains("kind ["));
}
