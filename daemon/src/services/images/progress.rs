//! Lines that tell a client how far its request is.

use docker_api::ids::SHORT_ID_HEX_CHARS;
use docker_api::images::{ProgressDetail, ProgressLine};
use tokio::sync::mpsc;

/// Lines waiting for a client. Lines about bytes are dropped beyond it; lines that say what was done are not.
pub const PROGRESS_QUEUE_LINES_MAX: usize = 64;
/// Bytes between two lines about one layer, as in dockerd.
const STEP_BYTES_MAX: u64 = 512 * 1024;
/// Characters of a bar.
const BAR_CHARACTERS: usize = 50;

/// Whether lines about bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Yes.
    Bytes,
    /// Only what was done (`quiet`).
    Results,
}

/// Where lines go.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    lines: Option<mpsc::Sender<ProgressLine>>,
    detail: Detail,
    /// What lines about a layer being unpacked are about, and what they call that.
    unpacking: Option<(String, &'static str)>,
}

impl Progress {
    /// Lines for a client, and the end that it reads.
    pub(super) fn channel(detail: Detail) -> (Self, mpsc::Receiver<ProgressLine>) {
        let (lines, reader) = mpsc::channel(PROGRESS_QUEUE_LINES_MAX);
        (
            Progress {
                lines: Some(lines),
                detail,
                unpacking: None,
            },
            reader,
        )
    }

    /// Nobody listens.
    pub(super) fn none() -> Self {
        Progress {
            lines: None,
            detail: Detail::Results,
            unpacking: None,
        }
    }

    /// The same, where unpacking a layer is told under another name than its own digest's.
    pub(super) fn named(&self, id: &str, status: &'static str) -> Self {
        Progress {
            unpacking: Some((id.to_owned(), status)),
            ..self.clone()
        }
    }

    /// Completes when nobody listens any more.
    pub(super) async fn closed(&self) {
        match &self.lines {
            Some(lines) => lines.closed().await,
            None => std::future::pending().await,
        }
    }

    /// A counter of the bytes of a layer being unpacked.
    pub(super) fn layer_counter(&self, diff: &str, total: u64) -> impl FnMut(u64) + Send + use<> {
        let own = || {
            (
                diff.get(..SHORT_ID_HEX_CHARS).unwrap_or(diff).to_owned(),
                "Loading layer",
            )
        };
        let (id, status) = self.unpacking.clone().unwrap_or_else(own);
        self.counter(&id, status, total)
    }

    /// Says what was done. A client that went away misses it; the work goes on.
    pub(super) async fn say(&self, line: ProgressLine) {
        if let Some(lines) = &self.lines {
            let _ = lines.send(line).await;
        }
    }

    /// A counter of bytes of one layer; `id` is what the line is about.
    pub(super) fn counter(
        &self,
        id: &str,
        status: &'static str,
        total: u64,
    ) -> impl FnMut(u64) + Send + use<> {
        let lines = self.lines.clone().filter(|_| self.detail == Detail::Bytes);
        let step = STEP_BYTES_MAX.min(total / 100);
        let (id, mut told) = (id.to_owned(), 0);
        move |current| {
            let is_due = current >= told + step.max(1) || current == total && told != total;
            if let Some(lines) = &lines
                && is_due
            {
                told = current;
                // A full queue means a slow client, which does not need every line.
                let _ = lines.try_send(layer_line(&id, status, current, total));
            }
        }
    }
}

fn layer_line(id: &str, status: &str, current: u64, total: u64) -> ProgressLine {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    ProgressLine {
        progress_detail: Some(ProgressDetail {
            current: number(current),
            total: number(total),
            ..ProgressDetail::default()
        }),
        progress: bar(current, total),
        ..ProgressLine::about(id, status)
    }
}

/// The bar that old clients print, as dockerd draws it.
fn bar(current: u64, total: u64) -> String {
    let percent = if total == 0 {
        100
    } else {
        (u128::from(current) * 100 / u128::from(total)).min(100)
    };
    let done = BAR_CHARACTERS.min(percent as usize / 2);
    let (done, left) = ("=".repeat(done), " ".repeat(BAR_CHARACTERS - done));
    format!("[{done}>{left}] {:>8}/{}", size(current), size(total))
}

/// A size with four significant digits: `32.77kB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let before_point = if value >= 100.0 {
        3
    } else if value >= 10.0 {
        2
    } else {
        1
    };
    let digits = format!("{value:.*}", 4 - before_point);
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{}{}", if digits.is_empty() { "0" } else { digits }, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_dockerds() {
        assert_eq!(
            bar(32_768, 102_400),
            "[================>                                  ]  32.77kB/102.4kB"
        );
        assert_eq!(bar(2_100, 2_100), format!("[{}>]    2.1kB/2.1kB", "=".repeat(50)));
        assert_eq!(bar(2_000, 2_000), format!("[{}>]      2kB/2kB", "=".repeat(50)));
        assert_eq!(
            (size(0), size(999), size(1_500_000)),
            ("0B".into(), "999B".into(), "1.5MB".into())
        );
    }

    #[tokio::test]
    async fn only_what_was_done_is_told_quietly() {
        let (progress, mut lines) = Progress::channel(Detail::Results);
        progress.counter("x", "Loading layer", 10)(10);
        progress.say(ProgressLine::stream("done\n")).await;
        assert_eq!(lines.recv().await.unwrap().stream, "done\n");
    }

    #[test]
    fn the_last_byte_is_always_told() {
        let (progress, mut lines) = Progress::channel(Detail::Bytes);
        let mut count = progress.counter("x", "Loading layer", 1_000_000);
        [100, 400_000, 400_001, 1_000_000]
            .into_iter()
            .for_each(&mut count);
        let told: Vec<i64> = std::iter::from_fn(|| lines.try_recv().ok())
            .filter_map(|line| line.progress_detail.map(|detail| detail.current))
            .collect();
        assert_eq!(told, [400_000, 1_000_000]);
    }
}
