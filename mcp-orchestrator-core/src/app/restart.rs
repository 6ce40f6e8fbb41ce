//! Settings that require a restart, which a reload reports.

use super::built::Built;
use crate::config::{Notice, Settings};

impl Built {
    /// Returns a notice for each key that differs from its value at the start and requires a restart.
    pub(crate) fn restart_required(&self, settings: &Settings) -> Vec<Notice> {
        let (then, now) = (&self.started, settings);
        let upstream = cfg!(feature = "oauth") && then.auth.public_url != now.auth.public_url;
        let keys = [
            ("listen", then.listen != now.listen),
            ("metrics_listen", then.metrics_listen != now.metrics_listen),
            ("state_dir", then.state_dir != now.state_dir),
            ("tls", then.auth.tls != now.auth.tls),
            (
                "limits.connections",
                then.auth.connections.total != now.auth.connections.total,
            ),
            (
                "limits.connections_per_address",
                then.auth.connections.per_address != now.auth.connections.per_address,
            ),
            ("auth_wait", then.auth.auth_wait != now.auth.auth_wait),
            ("input_wait", then.auth.input_wait != now.auth.input_wait),
            ("credentials", then.store != now.store),
            (
                "kubernetes",
                then.backends.kubernetes != now.backends.kubernetes,
            ),
            (
                "backend",
                (&then.backends.default, then.backends.processes)
                    != (&now.backends.default, now.backends.processes),
            ),
            (
                "network.allow_private",
                then.allow_private != now.allow_private,
            ),
            ("network", then.outbound != now.outbound),
            ("log", then.log != now.log),
        ];
        let changed = keys.into_iter().filter(|(_, differs)| *differs);
        let whole = "it counts from the next start on; until then what was said before does";
        let notice = |(key, message): (&str, &str)| Notice {
            file: now.file().into(),
            position: None,
            key: key.to_owned(),
            message: message.to_owned(),
        };
        let mut notices: Vec<Notice> = changed.map(|(key, _)| notice((key, whole))).collect();
        if upstream {
            let text =
                "sign-ins at upstream servers name it from the next start on; all else does now";
            notices.push(notice(("public_url", text)));
        }
        notices
    }
}
