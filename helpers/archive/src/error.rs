//! How failures are told. Where the content is at fault the text is dockerd's (28.5), which its clients know.

use protocol::names::Text;
use protocol::{ErrorCode, HelperError};
use rustix::io::Errno;
use std::io::Error;
use std::path::Path;

/// Characters of a path in an error's text: the rest of its line is for the step and the reason.
const SHOWN_CHARACTERS_MAX: usize = 180;

/// What the system says where a path that an archive chose cannot be made or found.
#[rustfmt::skip]
const BLAMES: [Errno; 8] = [
    Errno::EXIST, Errno::INVAL, Errno::ISDIR, Errno::LOOP, Errno::NAMETOOLONG, Errno::NOENT, Errno::NOTDIR, Errno::XDEV,
];

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
        let path = path.display().to_string();
        let path: String = path.chars().take(SHOWN_CHARACTERS_MAX).collect();
        let detail = Text::cut(&format!("{step} {path}: {}", reason(&error)));
        let told = HelperError::system(step, &error);
        HelperError { detail, ..told }
    }
}

/// For `map_err`: a step failed on a path that an archive chose. Most reasons are the archive's fault.
pub(crate) fn refused<E: Into<Error>>(step: &str, path: &Path) -> impl Fn(E) -> HelperError {
    move |error| {
        let mut told = failed(step, path)(error);
        let blames_the_content = |errno: &i32| BLAMES.map(Errno::raw_os_error).contains(errno);
        if told.errno.as_ref().is_some_and(blames_the_content) {
            told.code = ErrorCode::BadContent;
        }
        told
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
