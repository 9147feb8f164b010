//! How failures are told. Where the content is at fault the text is dockerd's (28.5), which its clients know.

use crate::tar::Fault;
use protocol::names::Text;
use protocol::{ErrorCode, HelperError};
use rustix::io::Errno;
use std::io::Error;
use std::path::Path;

/// Characters of a path in an error's text: the rest of its line is for the step and the reason.
const SHOWN_CHARACTERS_MAX: usize = 180;

/// The archive asks for something that is not done.
pub(crate) fn bad(detail: impl AsRef<str>) -> HelperError {
    HelperError::new(ErrorCode::BadContent, detail)
}

/// A name in double quotes, with what is not printable escaped.
pub(crate) fn quoted(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(name))
}

/// For `map_err`: a step failed on a path of a tree.
pub(crate) fn failed<E: Into<Error>>(step: &str, path: &Path) -> impl Fn(E) -> HelperError {
    move |error| {
        let error = error.into();
        let path: String = path
            .display()
            .to_string()
            .chars()
            .take(SHOWN_CHARACTERS_MAX)
            .collect();
        let told = HelperError::system(step, &error);
        HelperError {
            detail: Text::cut(&format!("{step} {path}: {}", reason(&error))),
            ..told
        }
    }
}

/// For `map_err`: a step failed on a path that an archive chose. Most reasons are the archive's fault.
pub(crate) fn refused<E: Into<Error>>(step: &str, path: &Path) -> impl Fn(E) -> HelperError {
    move |error| {
        let told = failed(step, path)(error);
        match told.errno.map(Errno::from_raw_os_error) {
            Some(
                Errno::EXIST
                | Errno::INVAL
                | Errno::ISDIR
                | Errno::LOOP
                | Errno::NAMETOOLONG
                | Errno::NOENT
                | Errno::NOTDIR
                | Errno::XDEV,
            ) => HelperError {
                code: ErrorCode::BadContent,
                ..told
            },
            Some(_) | None => told,
        }
    }
}

impl From<Fault> for HelperError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => HelperError::system("read archive", &error),
            Fault::UnexpectedEof | Fault::InvalidHeader | Fault::FieldTooLong | Fault::UnhandledType(_) => {
                bad(fault.to_string())
            }
        }
    }
}

/// The system's words as dockerd has them: lower case, without the number.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_dockerds() {
        let error = refused("openat", Path::new("a/b"))(Errno::NOTDIR);
        assert_eq!(error.detail.as_str(), "openat a/b: not a directory");
        assert_eq!(error.code, ErrorCode::BadContent);
        let error = refused("openat", Path::new("a"))(Errno::NOSPC);
        assert_eq!(
            (error.code, error.detail.as_str()),
            (ErrorCode::NoSpace, "openat a: no space left on device")
        );
        assert_eq!(quoted(b"../x"), "\"../x\"");
    }
}
