//! Which devices a jail's programs may use: version 1's `devices` controller. Version 2 has none but by a program loaded into the
//! kernel, which is not done; there, as without any, only what a node in the jail leads to can be used, and rules are refused.

use super::Group;
use protocol::jail::{DeviceRule, Openings};
use protocol::{Answer, ErrorCode, HelperError};

/// What Docker allows every container (28.5): making any node, and using memory devices and terminals.
const ALWAYS: [&str; 11] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// Denies everything but what is always allowed and what was asked for.
///
/// # Errors
/// `Unsupported` for a wish where this host has no such controller.
pub(super) fn restrict(group: &Group<'_>, openings: &Openings) -> Answer<()> {
    let shown = openings.devices.as_slice().iter().map(|device| &device.rule);
    let wished: Vec<&DeviceRule> = shown.chain(openings.device_rules.as_slice()).collect();
    let Some((directory, false)) = group.directory("devices") else {
        return if wished.is_empty() {
            Ok(())
        } else {
            let text = "this host's control groups have no devices controller";
            Err(HelperError::new(ErrorCode::Unsupported, text))
        };
    };
    let write = |file: &str, value: &str| {
        let written = std::fs::write(directory.join(file), value);
        written.map_err(|e| HelperError::system(format!("{file} {value}"), &e))
    };
    write("devices.deny", "a")?;
    for rule in ALWAYS {
        write("devices.allow", rule)?;
    }
    wished
        .iter()
        .try_for_each(|rule| write("devices.allow", &text(rule)))
}

/// A rule as the kernel reads it.
fn text(rule: &DeviceRule) -> String {
    let kind = if rule.is_block { 'b' } else { 'c' };
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let mut access = String::new();
    for (letter, is_allowed) in [('r', rule.read), ('w', rule.write), ('m', rule.make)] {
        if is_allowed {
            access.push(letter);
        }
    }
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_the_kernel_reads_them() {
        let rule = DeviceRule {
            is_block: false,
            major: Some(7),
            minor: Some(128),
            read: true,
            write: true,
            make: true,
        };
        assert_eq!(text(&rule), "c 7:128 rwm");
        let rule = DeviceRule {
            is_block: true,
            minor: None,
            write: false,
            ..rule
        };
        assert_eq!(text(&rule), "b 7:* rm");
    }
}
