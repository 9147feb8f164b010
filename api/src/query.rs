//! Values of query arguments, read as dockerd reads them.

/// Reads a boolean (`all=1`, `force=true`): everything but these five spellings of "no" is "yes".
#[must_use]
pub fn truthy(value: &str) -> bool {
    !matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "" | "0" | "no" | "false" | "none"
    )
}

/// Reads a whole number (`t`, `limit`); an empty value counts as not given.
///
/// # Errors
/// [`NotANumber`]; dockerd answers status 500 for it.
pub fn number(value: &str) -> Result<Option<i64>, NotANumber> {
    if value.is_empty() {
        return Ok(None);
    }
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotANumber::Syntax(value.to_owned()));
    }
    value
        .parse()
        .map(Some)
        .map_err(|_| NotANumber::Range(value.to_owned()))
}

/// Reads one side (`name` is `height` or `width`) of a terminal's size in resize requests, which must be given.
///
/// # Errors
/// The text for status 400.
pub fn terminal_side(name: &str, value: &str) -> Result<u16, String> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("invalid resize {name} \"{value}\": invalid syntax"));
    }
    value
        .parse()
        .map_err(|_| format!("invalid resize {name} \"{value}\": value out of range"))
}

/// A value that is no number, in the words of Go's `strconv`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANumber {
    /// Something else than digits and a sign.
    #[error("strconv.Atoi: parsing {0:?}: invalid syntax")]
    Syntax(String),
    /// Beyond 64 bits.
    #[error("strconv.Atoi: parsing {0:?}: value out of range")]
    Range(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_dockerd_reads_them() {
        for yes in ["1", "true", "True", "yes", "anything"] {
            assert!(truthy(yes), "{yes}");
        }
        for no in ["", "0", "no", "false", "False", "none", " 0 "] {
            assert!(!truthy(no), "{no}");
        }
    }

    #[test]
    fn numbers_are_refused_in_gos_words() {
        assert_eq!(number(""), Ok(None));
        assert_eq!(number("-1"), Ok(Some(-1)));
        assert_eq!(
            number("abc").expect_err("text").to_string(),
            "strconv.Atoi: parsing \"abc\": invalid syntax"
        );
        assert!(matches!(
            number("99999999999999999999"),
            Err(NotANumber::Range(_))
        ));
        assert!(number("1.5").is_err() && number("-").is_err() && number(" 1").is_err());
    }

    #[test]
    fn a_terminal_size_must_be_given() {
        assert_eq!(terminal_side("height", "24"), Ok(24));
        assert_eq!(
            terminal_side("height", "").expect_err("missing"),
            "invalid resize height \"\": invalid syntax"
        );
        assert!(terminal_side("width", "-1").is_err() && terminal_side("width", "70000").is_err());
    }
}
