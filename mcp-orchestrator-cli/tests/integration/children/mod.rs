//! Tests that child processes inherit nothing from the gateway, and that none of their descendants outlives the
//! instance, however it ends.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "these tests have no runtime, and look again and again"
)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::Site;

/// Starts daemons of every kind. Each appends its process ID to the file `$1`.
const DAEMONS: &str = r#"
f=$1
sleep 600 & echo $! >>"$f"
setsid sh -c 'echo $$ >>"$1"; exec sleep 600' - "$f" &
(setsid sh -c '(echo $(exec sh -c "echo \$PPID") >>"$1"; exec sleep 600) &' - "$f" &)
env -i PATH="$PATH" setsid sh -c '(sh -c "echo \$\$ >>\"\$1\"; exec sleep 600" - "$1" &)' - "$f" </dev/null >/dev/null 2>&1
setsid sh -c 'trap "" TERM HUP INT; echo $$ >>"$1"; while :; do sleep 1; done' - "$f" &
nohup setsid sh -c 'echo $$ >>"$1"; cd /; exec sleep 600' - "$f" >/dev/null 2>&1 &
"#;
const KINDS: usize = 6;

/// Returns a site with a server that starts daemons, and the file of their process IDs.
fn site() -> (Site, PathBuf) {
    let site = Site::with_servers();
    let daemons = site.dir().join("daemons.sh");
    fs::write(&daemons, DAEMONS).unwrap();
    let pids = site.dir().join("pids");
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh");
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  d:\n    stop_grace: 1s\n    command: [sh, -c, \"sh {} {}; exec sh {server}\"]\n",
        daemons.display(),
        pids.display(),
    ));
    (site, pids)
}

fn read(pids: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(pids).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default().to_owned();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn call(site: &Site) {
    let sum = site.run(&["call", "d", "add", "-a", "a=1", "-a", "b=2"]);
    assert_eq!(sum.ok(), "the sum is 3\n");
}

/// Calls the server and returns the process IDs of its daemons.
fn daemons(site: &Site, pids: &PathBuf) -> Vec<String> {
    call(site);
    until("all daemons have started", || read(pids).len() == KINDS);
    let all = read(pids);
    for pid in &all {
        assert!(runs(pid), "{pid} of {all:?}");
    }
    all
}

fn gone(all: &[String]) {
    until("no daemon is left", || !all.iter().any(|pid| runs(pid)));
}

#[test]
fn daemons_end_when_their_instance_is_stopped() {
    let (site, pids) = site();
    let mut up = site.up();
    let all = daemons(&site, &pids);
    site.run(&["stop", "d"]).ok();
    gone(&all);
    up.end();
}

#[test]
fn daemons_end_when_the_gateway_ends() {
    let (site, pids) = site();
    let mut up = site.up();
    let all = daemons(&site, &pids);
    up.end();
    gone(&all);
}

#[test]
fn daemons_end_when_the_gateway_is_killed() {
    let (site, pids) = site();
    let mut up = site.up();
    let all = daemons(&site, &pids);
    up.kill();
    gone(&all);
}

#[test]
fn daemons_end_when_their_program_is_killed() {
    let (site, pids) = site();
    let mut up = site.up();
    let all = daemons(&site, &pids);
    let pid = site.pid("d").expect("it runs");
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid])
        .status();
    assert!(killed.unwrap().success());
    gone(&all);
    up.end();
}

#[test]
fn command_without_a_gateway_leaves_no_daemon() {
    let (site, pids) = site();
    call(&site);
    let all = read(&pids);
    assert!(!all.is_empty());
    gone(&all);
}

#[test]
fn gateway_leaves_no_zombie_processes() {
    let (site, pids) = site();
    let mut up = site.up();
    let all = daemons(&site, &pids);
    let gateway = up.pid().to_string();
    site.run(&["stop", "d"]).ok();
    gone(&all);
    let of_gateway = |stat: String| {
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.next() == Some("Z") && fields.next() == Some(&gateway)
    };
    until("all children are waited for", || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let stats = all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        !stats.into_iter().any(of_gateway)
    });
    up.end();
}

#[test]
fn start_failure_through_the_keeper_names_the_cause() {
    let site = Site::with_servers();
    let large = "x".repeat(200_000);
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  none: {{command: [/no/such/program]}}\n  \
         large: {{command: [sh, -c, cat], env: {{BIG: {large}}}}}\n  \
         script: {{command: [{}]}}\n",
        script(&site).display()
    ));
    let _up = site.up();
    for (server, parts) in [
        ("none", ["/no/such/program was not found", ""]),
        (
            "large",
            [
                "Argument list too long",
                "the largest variable, BIG, has 200000 bytes",
            ],
        ),
        ("script", ["interpreter", ""]),
    ] {
        let failed = site.run(&["call", server, "x"]);
        assert_eq!(failed.code, 1, "{failed:?}");
        for part in parts {
            assert!(failed.err.contains(part), "{}", failed.err);
        }
    }
}

fn script(site: &Site) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let script = site.dir().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// A child has three open files, cannot read the environment of its parent process, and writes no core file.
#[test]
fn child_inherits_only_its_standard_streams() {
    let site = Site::with_servers();
    let found = site.dir().join("found");
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh");
    let script = site.dir().join("look.sh");
    let text = format!(
        "{{ ulimit -c; ls /proc/self/fd | tr '\\n' ' '; echo; tr '\\0' '\\n' </proc/$PPID/environ | wc -l; }} \
         >{} 2>/dev/null\nexec sh {server}\n",
        found.display()
    );
    fs::write(&script, text).unwrap();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  d: {{command: [sh, {}]}}\n",
        script.display()
    ));
    let mut up = site.up();
    call(&site);
    let found = fs::read_to_string(found).unwrap();
    let mut lines = found.lines();
    assert_eq!(lines.next(), Some("0"), "{found}");
    // Descriptor 3 is the directory that `ls` reads. No descriptor of the process that started the gateway is passed
    // on.
    assert_eq!(lines.next().map(str::trim), Some("0 1 2 3"), "{found}");
    assert_eq!(lines.next(), Some("0"), "{found}");
    up.end();
}

#[test]
fn child_runs_in_the_directory_of_the_gateway_or_in_its_own() {
    let site = Site::with_servers();
    let sub = site.dir().join("sub");
    fs::create_dir(&sub).unwrap();
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh");
    for folder in [site.dir(), &sub] {
        let script = format!("pwd >\"$1\"\nexec sh {server}\n");
        fs::write(folder.join("relative.sh"), script).unwrap();
    }
    site.write(
        "listen: 127.0.0.1:0\nservers:\n  a: {command: [sh, relative.sh, where]}\n  \
         b: {command: [sh, ./relative.sh, where], cwd: sub}\n  \
         c: {command: [sh, sub/relative.sh, of-c], cwd: .}\n",
    );
    for (name, file, folder) in [
        ("a", "where", site.dir()),
        ("b", "sub/where", &sub),
        ("c", "of-c", site.dir()),
    ] {
        site.run(&["tools", name]).ok();
        let seen = fs::read_to_string(site.dir().join(file)).unwrap();
        assert_eq!(
            fs::canonicalize(seen.trim_end()).unwrap(),
            fs::canonicalize(folder).unwrap(),
            "{name}"
        );
    }
}
