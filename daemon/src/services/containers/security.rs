//! `--security-opt`, read as dockerd reads it. Pure.
//!
//! Containers get no seccomp profile, no AppArmor profile and no SELinux label here, so to ask for none of them is to ask for what
//! there is; to ask for one is refused.

use crate::services::Failure;

/// What the options ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Security {
    /// Programs gain no privileges by being executed.
    pub(super) no_new_privileges: bool,
}

/// Reads the options; the last of a kind counts.
///
/// # Errors
/// `Invalid` in dockerd's words for what is no option, `Unsupported` for what is not done.
pub(super) fn read(options: Option<&Vec<String>>) -> Result<Security, Failure> {
    let mut security = Security::default();
    for option in options.into_iter().flatten() {
        let invalid = |number: u8| {
            Err(Failure::Invalid(format!(
                "invalid --security-opt {number}: {option:?}"
            )))
        };
        let (name, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
            Some(parts) => parts,
            None => match option.as_str() {
                "no-new-privileges" | "writable-cgroups" => (option.as_str(), "true"),
                "disable" => ("label", "disable"),
                _ => return invalid(1),
            },
        };
        match (name, value, truth(value)) {
            ("no-new-privileges", _, Some(truth)) => security.no_new_privileges = truth,
            // A container's control groups are read-only.
            ("writable-cgroups", _, Some(false))
            | ("seccomp" | "apparmor", "unconfined", _)
            | ("label", "disable", _) => {}
            ("writable-cgroups", _, Some(true)) | ("seccomp" | "apparmor" | "label", ..) => {
                let text = format!("--security-opt {option} is not supported by cellblock yet");
                return Err(Failure::Unsupported(text));
            }
            _ => return invalid(2),
        }
    }
    Ok(security)
}

/// A switch as Go's `strconv.ParseBool` reads it.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(option: &str) -> String {
        match read(Some(&vec![option.to_owned()])) {
            Ok(security) => format!("{}", security.no_new_privileges),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn options_are_done_true_already_or_refused() {
        for (option, words) in [
            ("no-new-privileges", "true"),
            ("no-new-privileges:true", "true"),
            ("no-new-privileges=0", "false"),
            ("seccomp=unconfined", "false"),
            ("apparmor:unconfined", "false"),
            ("label=disable", "false"),
            ("writable-cgroups=false", "false"),
            (
                "no-new-privileges=maybe",
                "invalid --security-opt 2: \"no-new-privileges=maybe\"",
            ),
            (
                "writeable-cgroups=true",
                "invalid --security-opt 2: \"writeable-cgroups=true\"",
            ),
            ("zz", "invalid --security-opt 1: \"zz\""),
            (
                "seccomp={}",
                "--security-opt seccomp={} is not supported by cellblock yet",
            ),
            (
                "writable-cgroups",
                "--security-opt writable-cgroups is not supported by cellblock yet",
            ),
            (
                "label=user:x",
                "--security-opt label=user:x is not supported by cellblock yet",
            ),
        ] {
            assert_eq!(told(option), words, "{option}");
        }
    }
}
