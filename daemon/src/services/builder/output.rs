//! What the client is told: the classic builder's lines, to the letter.

use super::BuildError;
use crate::services::Failure;
use docker_api::build_image::{BuildResult, ProgressLine};
use docker_api::ids::SHORT_ID_HEX_CHARS;
use docker_api::images::ErrorDetail;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Standard error is red in a build's output, as dockerd has it.
const RED: &str = "\u{1b}[91m";
const PLAIN: &str = "\u{1b}[0m";

/// Bytes of text that a quiet build keeps for the case that it fails; the end of a longer output tells why.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where lines go.
#[derive(Debug)]
pub(super) struct Output {
    to: mpsc::Sender<ProgressLine>,
    /// `-q`: lines wait here, and are sent only if the build fails.
    held: Option<Held>,
    is_begun: bool,
}

/// The last lines of a quiet build.
#[derive(Debug, Default)]
struct Held {
    lines: VecDeque<ProgressLine>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, line: ProgressLine) {
        self.bytes += line.stream.len();
        self.lines.push_back(line);
        while self.bytes > HELD_BYTES_MAX
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.stream.len();
        }
    }
}

/// Cuts bytes into text: what is the beginning of a character waits for its rest.
#[derive(Debug, Default)]
pub(super) struct Decoder(Vec<u8>);

impl Decoder {
    /// The text that is whole by now; what can be no text is replaced, as in Go's JSON.
    pub(super) fn text(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let is_beginning = |at: &usize| {
            let tail = std::str::from_utf8(&self.0[*at..]);
            matches!(tail, Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
        };
        // A character has at most four bytes, so that its beginning has at most three.
        let end = self.0.len();
        let open = (end.saturating_sub(3)..end).find(is_beginning).unwrap_or(end);
        let rest = self.0.split_off(open);
        String::from_utf8_lossy(&std::mem::replace(&mut self.0, rest)).into_owned()
    }

    /// What is left when the stream has ended.
    pub(super) fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

/// The first twelve digits of an id, with or without `sha256:`.
pub(super) fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..SHORT_ID_HEX_CHARS).unwrap_or(digits)
}

impl Output {
    /// Lines for a client.
    pub(super) fn new(to: mpsc::Sender<ProgressLine>, is_quiet: bool) -> Self {
        Output {
            to,
            held: is_quiet.then(Held::default),
            is_begun: false,
        }
    }

    /// Resolves when the client is gone.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let to = self.to.clone();
        async move { to.closed().await }
    }

    /// Whether the client is gone.
    ///
    /// # Errors
    /// [`BuildError::Cancelled`].
    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.to.is_closed() {
            Err(BuildError::Cancelled)
        } else {
            Ok(())
        }
    }

    async fn send(&mut self, line: ProgressLine) -> Result<(), BuildError> {
        match &mut self.held {
            Some(held) => held.push(line),
            None => {
                self.is_begun = true;
                self.to.send(line).await.map_err(|_| BuildError::Cancelled)?;
            }
        }
        Ok(())
    }

    /// Text as it is.
    ///
    /// # Errors
    /// [`BuildError::Cancelled`], as all of these.
    pub(super) async fn text(&mut self, text: &str) -> Result<(), BuildError> {
        if text.is_empty() {
            return Ok(());
        }
        self.send(ProgressLine::stream(text)).await
    }

    /// A line of a pull.
    ///
    /// # Errors
    /// [`BuildError::Cancelled`].
    pub(super) async fn pulled(&mut self, line: ProgressLine) -> Result<(), BuildError> {
        self.send(line).await
    }

    /// Text of a command's standard error, or a warning.
    pub(super) async fn red(&mut self, text: &str) -> Result<(), BuildError> {
        if text.is_empty() {
            return Ok(());
        }
        self.text(&format!("{RED}{text}{PLAIN}")).await
    }

    /// `Step 1/3 : FROM scratch`.
    pub(super) async fn step(&mut self, number: usize, of: usize, text: &str) -> Result<(), BuildError> {
        self.text(&format!("Step {number}/{of} : {text}")).await?;
        self.text("\n").await
    }

    /// ` ---> ` and something.
    pub(super) async fn arrow(&mut self, what: &str) -> Result<(), BuildError> {
        self.text(&format!(" ---> {what}\n")).await
    }

    /// The id of a stage's image, for programs.
    pub(super) async fn image(&mut self, id: &str) -> Result<(), BuildError> {
        self.send(BuildResult { id: id.to_owned() }.into_line()).await
    }

    /// `# Executing 2 build triggers`.
    pub(super) async fn triggers(&mut self, count: usize) -> Result<(), BuildError> {
        let plural = if count > 1 { "s" } else { "" };
        self.text(&format!("# Executing {count} build trigger")).await?;
        self.text(plural).await?;
        self.text("\n").await
    }

    /// Ends a build: with the id alone where that was asked for, or with the reason of its failure.
    ///
    /// # Errors
    /// The reason, where no line was sent yet: it becomes the answer's status.
    pub(super) async fn finish(mut self, result: Result<String, BuildError>) -> Result<(), Failure> {
        let held = self.held.take();
        // A client that is gone misses all of these.
        let error = match result {
            Ok(id) => {
                if held.is_some() {
                    let _ = self.send(ProgressLine::stream(format!("{id}\n"))).await;
                }
                return Ok(());
            }
            Err(error) => error,
        };
        for line in held.into_iter().flat_map(|held| held.lines) {
            let _ = self.send(line).await;
        }
        let line = match error {
            BuildError::Failed(failure) if !self.is_begun => return Err(failure),
            BuildError::Failed(failure) => ProgressLine::error(failure.to_string()),
            BuildError::Cancelled => ProgressLine::error("Build cancelled"),
            BuildError::Exited { message, code } => ProgressLine {
                error: message.clone(),
                error_detail: Some(ErrorDetail { code, message }),
                ..ProgressLine::default()
            },
        };
        let _ = self.send(line).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(quiet: bool, result: Result<String, BuildError>) -> (Result<(), String>, Vec<String>) {
        let (sender, mut lines) = mpsc::channel(64);
        let mut output = Output::new(sender, quiet);
        output.step(1, 2, "FROM a<b").await.unwrap();
        output.arrow(short("sha256:9d9a8e3c9c2632be3231")).await.unwrap();
        output.image("sha256:9d").await.unwrap();
        output.red("err\n").await.unwrap();
        output.triggers(1).await.unwrap();
        let ended = output.finish(result).await.map_err(|failure| failure.to_string());
        let mut all = Vec::new();
        while let Some(line) = lines.recv().await {
            all.push(line.to_line());
        }
        (ended, all)
    }

    /// As dockerd 28.5 sends them.
    const LINES: [&str; 7] = [
        "{\"stream\":\"Step 1/2 : FROM a\\u003cb\"}\r\n",
        "{\"stream\":\"\\n\"}\r\n",
        "{\"stream\":\" ---\\u003e 9d9a8e3c9c26\\n\"}\r\n",
        "{\"aux\":{\"ID\":\"sha256:9d\"}}\r\n",
        "{\"stream\":\"\\u001b[91merr\\n\\u001b[0m\"}\r\n",
        "{\"stream\":\"# Executing 1 build trigger\"}\r\n",
        "{\"stream\":\"\\n\"}\r\n",
    ];

    /// Go escapes these three in JSON; the text is the same for every reader.
    fn unescaped(line: &str) -> String {
        line.replace("\\u003c", "<")
            .replace("\\u003e", ">")
            .replace("\\u0026", "&")
    }

    #[tokio::test]
    async fn lines_are_dockerds() {
        let (ended, lines) = told(false, Ok("sha256:1".to_owned())).await;
        assert_eq!(ended, Ok(()));
        let lines: Vec<String> = lines.iter().map(|line| unescaped(line)).collect();
        assert_eq!(lines, LINES.map(unescaped));
    }

    #[tokio::test]
    async fn a_quiet_build_tells_its_id_or_everything() {
        let (_, lines) = told(true, Ok("sha256:1".to_owned())).await;
        assert_eq!(lines, ["{\"stream\":\"sha256:1\\n\"}\r\n"]);
        let exited = BuildError::Exited {
            message: "The command '/bin/sh -c exit 3' returned a non-zero code: 3".to_owned(),
            code: 3,
        };
        let (ended, lines) = told(true, Err(exited)).await;
        assert_eq!((ended, lines.len()), (Ok(()), LINES.len() + 1));
        assert_eq!(
            lines.last().unwrap(),
            "{\"errorDetail\":{\"code\":3,\"message\":\"The command '/bin/sh -c exit 3' returned a non-zero code: 3\"},\"error\":\"The command '/bin/sh -c exit 3' returned a non-zero code: 3\"}\r\n"
        );
    }

    #[tokio::test]
    async fn a_failure_before_the_first_line_is_no_line() {
        for quiet in [false, true] {
            let (sender, mut lines) = mpsc::channel(1);
            let ended = Output::new(sender, quiet)
                .finish(Err(BuildError::invalid("no")))
                .await;
            assert_eq!(ended.unwrap_err().to_string(), "no");
            assert!(lines.recv().await.is_none());
        }
        let (ended, lines) = told(false, Err(BuildError::invalid("no"))).await;
        assert_eq!(
            (ended, lines.last().unwrap().as_str()),
            (
                Ok(()),
                "{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\r\n"
            )
        );
    }

    #[tokio::test]
    async fn a_client_that_went_away_ends_the_build() {
        let (sender, lines) = mpsc::channel(1);
        let mut output = Output::new(sender, false);
        assert!(output.check().is_ok());
        drop(lines);
        output.gone().await;
        assert!(matches!(output.text("x").await, Err(BuildError::Cancelled)));
        assert!(matches!(output.check(), Err(BuildError::Cancelled)));
    }

    #[test]
    fn a_character_in_two_pieces_stays_one() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.text(b"a\xc3"), "a");
        assert_eq!(decoder.text(b"\xa9b"), "éb");
        assert_eq!(decoder.text(b"\xff\xf0\x9f\x98"), "\u{fffd}");
        assert_eq!(decoder.text(b"\x80!"), "\u{1f600}!");
        assert_eq!(decoder.text(b"\xff"), "\u{fffd}");
        assert_eq!(
            (decoder.text(b"\xc3").as_str(), decoder.rest().as_str()),
            ("", "\u{fffd}")
        );
    }
}
