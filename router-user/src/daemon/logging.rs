//! Log lines: to the journal with fields where systemd runs us, else to standard error.

use std::os::unix::fs::MetadataExt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// `ROUTERD_LOG` takes a level or a filter such as `info,kernel=debug`.
pub fn start() {
    let filter = EnvFilter::try_from_env("ROUTERD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let journal = stderr_is_the_journal().then(tracing_journald::layer).and_then(Result::ok);
    match journal {
        Some(journal) => registry.with(journal).init(),
        None => {
            let plain = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .with_target(false);
            registry.with(plain).init();
        }
    }
}

/// `JOURNAL_STREAM` holds device and inode of the journal's stream: systemd.exec(5).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}
