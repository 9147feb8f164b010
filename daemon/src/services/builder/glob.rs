//! Patterns over paths: those of `COPY`, which are Go's `filepath.Match`, and those of `.dockerignore`, which also know `**`.

/// Longest pattern that is tried, in characters: longer than any path, so that it could only match by runs.
const PATTERN_CHARACTERS_MAX: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Any characters but a slash.
    Run,
    /// Any characters.
    Anything,
    /// One character that is no slash.
    One,
    Set {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
    Character(char),
}

/// A pattern over whole paths.
#[derive(Debug, Clone)]
pub(super) struct Glob(Vec<Token>);

/// Whether a path of a Dockerfile is a pattern.
pub(super) fn is_pattern(path: &str) -> bool {
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

impl Glob {
    /// Reads a pattern of `COPY`; none for one that is none, which matches nothing, as in dockerd.
    pub(super) fn of_copy(pattern: &str) -> Option<Self> {
        Self::read(pattern, false)
    }

    /// Reads a line of `.dockerignore`.
    pub(super) fn of_ignore(pattern: &str) -> Option<Self> {
        Self::read(pattern, true)
    }

    fn read(pattern: &str, knows_anything: bool) -> Option<Self> {
        if pattern.chars().count() > PATTERN_CHARACTERS_MAX {
            return None;
        }
        let mut tokens = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(character) = rest.next() {
            tokens.push(match character {
                '*' if knows_anything && rest.next_if_eq(&'*').is_some() => {
                    // `**/x` is x at any depth, at the top too.
                    rest.next_if_eq(&'/');
                    Token::Anything
                }
                '*' => Token::Run,
                '?' => Token::One,
                '[' => set(&mut rest)?,
                '\\' => Token::Character(rest.next()?),
                other => Token::Character(other),
            });
        }
        Some(Glob(tokens))
    }

    /// Whether the whole path fits.
    pub(super) fn fits(&self, path: &str) -> bool {
        // Which numbers of leading tokens can have taken what was read so far.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.pass_runs(&mut reached);
        for character in path.chars() {
            let mut next = vec![false; self.0.len() + 1];
            for (at, token) in self.0.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match token {
                    Token::Anything => next[at] = true,
                    Token::Run => next[at] = next[at] || character != '/',
                    other => next[at + 1] = next[at + 1] || other.takes(character),
                }
            }
            self.pass_runs(&mut next);
            reached = next;
        }
        reached[self.0.len()]
    }

    /// A run may take nothing.
    fn pass_runs(&self, reached: &mut [bool]) {
        for (at, token) in self.0.iter().enumerate() {
            if reached[at] && matches!(token, Token::Run | Token::Anything) {
                reached[at + 1] = true;
            }
        }
    }
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Token::Run | Token::Anything => true,
            Token::One => character != '/',
            Token::Set { is_negated, ranges } => {
                let is_in = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character));
                character != '/' && is_in != *is_negated
            }
            Token::Character(own) => *own == character,
        }
    }
}

/// After a `[`.
fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let is_negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
            return Some(Token::Set { is_negated, ranges });
        }
        let low = member(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() {
            member(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn member(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        other => Some(other),
    }
}

/// Whether `.dockerignore` leaves a path out: the last line that fits the path or a directory above it decides, and lines
/// that begin with `!` take it in again.
pub(super) fn is_ignored(ignore_file: &str, path: &str) -> bool {
    let mut is_ignored = false;
    for line in ignore_file.trim_start_matches('\u{feff}').lines() {
        if line.starts_with('#') {
            continue;
        }
        let line = line.trim();
        let (pattern, ignores) = match line.strip_prefix('!') {
            Some(pattern) => (pattern.trim(), false),
            None => (line, true),
        };
        let parts = pattern.split('/').filter(|part| !matches!(*part, "" | "."));
        let pattern = parts.collect::<Vec<_>>().join("/");
        let Some(glob) = Glob::of_ignore(&pattern).filter(|_| !pattern.is_empty()) else {
            continue;
        };
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        if ends.into_iter().any(|end| glob.fits(&path[..end])) {
            is_ignored = ignores;
        }
    }
    is_ignored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_gos_filepath_match() {
        for (pattern, path, fits) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "d/a.txt", false),
            ("*", "a", true),
            ("s?b/*.txt", "sub/y.txt", true),
            ("[ab].txt", "b.txt", true),
            ("[^ab].txt", "b.txt", false),
            ("[a-c]x*", "bxyz", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[z", "z", false),
            ("[]a]", "a", false),
            ("**", "a/b", false),
            ("a*b*c", "aXbYc", true),
            ("", "", true),
        ] {
            assert_eq!(
                Glob::of_copy(pattern).is_some_and(|glob| glob.fits(path)),
                fits,
                "{pattern} {path}"
            );
        }
        assert!(is_pattern("a?") && is_pattern("[x") && !is_pattern("a\\*") && !is_pattern("a/b"));
    }

    #[test]
    fn ignore_files_are_read_as_dockerd_reads_them() {
        for (file, path, ignored) in [
            ("Dockerfile", "Dockerfile", true),
            ("docker\n", "Dockerfile", false),
            ("*\n!Dockerfile", "Dockerfile", false),
            ("!Dockerfile\n*", "Dockerfile", true),
            ("# Dockerfile", "Dockerfile", false),
            ("/sub/", "sub/Dockerfile", true),
            ("**/Dockerfile", "Dockerfile", true),
            ("**/Dockerfile", "a/b/Dockerfile", true),
            ("**", "a/b", true),
            ("*/b", "a/b", true),
            ("./a", "a", true),
            ("", "a", false),
        ] {
            assert_eq!(is_ignored(file, path), ignored, "{file:?} {path}");
        }
    }

    #[test]
    fn a_pattern_of_many_runs_ends_soon() {
        let glob = Glob::of_copy(&"*a".repeat(200)).unwrap();
        assert!(!glob.fits(&"a".repeat(199)));
        assert!(glob.fits(&"a".repeat(200)));
    }
}
