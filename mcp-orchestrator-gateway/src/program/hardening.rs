//! Process settings applied before anything else: no memory dumps on disk, and enough file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections may use at most one in this many file descriptors; instances, upstream connections and files need the
/// others.
const CONNECTIONS_SHARE: u64 = 2;

/// Disables core dumps and debugging by the same user, because memory holds credentials, and raises the soft limit on
/// file descriptors to the hard limit. A setting that the system refuses is left unchanged.
pub fn harden() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Errors are ignored: a process that may not lower its own limit has no alternative.
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let files = getrlimit(Resource::Nofile);
    if files.current != files.maximum {
        let raised = Rlimit {
            current: files.maximum,
            ..files
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// Returns how many connections may be open at once so that file descriptors remain for other uses.
pub(crate) fn connections(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current;
    let share = files.and_then(|files| usize::try_from(files / CONNECTIONS_SHARE).ok());
    share.map_or(wanted, |share| wanted.min(share.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_dumps_are_disabled_and_file_descriptors_are_reserved() {
        harden();
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        let files = getrlimit(Resource::Nofile);
        assert_eq!(files.current, files.maximum);
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        assert_eq!(connections(1), 1);
        if let Some(files) = files.current {
            assert!(connections(usize::MAX) as u64 <= files);
        }
    }
}
