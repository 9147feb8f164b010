//! Which image a client means: dockerd's rules.

use super::Image;
use super::state::{State, lookup_name};
use crate::services::Failure;
use docker_api::error::no_such_image;
use docker_api::ids::is_id_prefix;
use docker_api::reference::{Reference, is_identifier};
use std::sync::Arc;

impl State {
    /// Finds an image by whole id (with or without `sha256:`), by name with the tag `latest` where none is given, by
    /// `name@digest`, or by the only id that begins so. Names come before beginnings of ids.
    ///
    /// # Errors
    /// [`Failure::NotFound`], or [`Failure::Invalid`] for what is neither a name nor an id.
    pub(super) fn find(&self, wanted: &str) -> Result<Arc<Image>, Failure> {
        if let Some(id) = whole_id(wanted) {
            return self
                .image(&id)
                .cloned()
                .ok_or_else(|| Failure::NotFound(no_such_image(&id)));
        }
        let reference = Reference::parse(wanted).map_err(|bad| Failure::Invalid(bad.to_string()))?;
        if let Some(image) = self.named(&lookup_name(&reference)).and_then(|id| self.image(id)) {
            return Ok(Arc::clone(image));
        }
        self.only_one_beginning(wanted)
            .ok_or_else(|| Failure::NotFound(no_such_image(&reference.with_default_tag().familiar())))
    }

    fn only_one_beginning(&self, wanted: &str) -> Option<Arc<Image>> {
        let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        if !is_id_prefix(digits) {
            return None;
        }
        let mut fitting = self.images().filter(|image| is_beginning(&image.id, digits));
        match (fitting.next(), fitting.next()) {
            (Some(image), None) => Some(Arc::clone(image)),
            (Some(_) | None, _) => None,
        }
    }
}

/// Whether `text` is the beginning of an image's id, with or without its `sha256:`. Removal by id and by name differ.
#[must_use]
pub(super) fn is_beginning(id: &str, text: &str) -> bool {
    id.starts_with(text)
        || id
            .strip_prefix("sha256:")
            .is_some_and(|digits| digits.starts_with(text))
}

fn whole_id(text: &str) -> Option<String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    is_identifier(digits).then(|| format!("sha256:{digits}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake::image;
    use super::*;

    fn state() -> State {
        let mut one = image('a', &["busybox:latest", "busybox:1.36", "ab:latest"]);
        one.digests = vec![format!("busybox@sha256:{}", "d".repeat(64))];
        let mut two = image('b', &["example.com/x:latest"]);
        two.id = format!("sha256:abc{}", "0".repeat(61));
        let mut three = image('b', &[]);
        three.id = format!("sha256:abd{}", "0".repeat(61));
        State::of(vec![one, two, three])
    }

    fn found(wanted: &str) -> Result<String, String> {
        let state = state();
        state
            .find(wanted)
            .map(|image| image.id["sha256:".len()..][..3].to_owned())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn images_are_found_as_dockerd_finds_them() {
        let digest = "d".repeat(64);
        for (wanted, id) in [
            ("busybox", "aaa"),
            ("busybox:1.36", "aaa"),
            ("docker.io/library/busybox", "aaa"),
            (&format!("busybox@sha256:{digest}"), "aaa"),
            (&format!("busybox:other@sha256:{digest}"), "aaa"),
            ("example.com/x", "abc"),
            ("abc", "abc"),
            ("abd0", "abd"),
            ("sha256:abd0", "abd"),
            // A name wins over the beginning of an id.
            ("ab", "aaa"),
            (&"a".repeat(64), "aaa"),
            (&format!("sha256:{}", "a".repeat(64)), "aaa"),
        ] {
            assert_eq!(found(wanted), Ok(id.to_owned()), "{wanted}");
        }
    }

    #[test]
    fn what_is_not_there_is_named_as_dockerd_names_it() {
        let zeros = "0".repeat(64);
        for (wanted, shown) in [
            ("nosuchxx", "nosuchxx:latest".to_owned()),
            ("nosuchxx:1", "nosuchxx:1".to_owned()),
            ("docker.io/library/zz", "zz:latest".to_owned()),
            ("example.com/y", "example.com/y:latest".to_owned()),
            // Two ids begin so, and nothing is called so.
            ("a", "a:latest".to_owned()),
            ("deadbeef", "deadbeef:latest".to_owned()),
            (&zeros, format!("sha256:{zeros}")),
            (&format!("sha256:{zeros}"), format!("sha256:{zeros}")),
            (
                &format!("busybox@sha256:{zeros}"),
                format!("busybox@sha256:{zeros}"),
            ),
        ] {
            assert_eq!(found(wanted), Err(format!("No such image: {shown}")), "{wanted}");
        }
    }

    #[test]
    fn what_is_no_reference_is_invalid() {
        for (wanted, text) in [
            ("a b", "invalid reference format"),
            ("", "invalid reference format"),
            ("../x", "invalid reference format"),
            (
                "BusyBox",
                "invalid reference format: repository name (library/BusyBox) must be lowercase",
            ),
        ] {
            assert!(
                matches!(state().find(wanted), Err(Failure::Invalid(said)) if said == text),
                "{wanted}"
            );
        }
    }
}
