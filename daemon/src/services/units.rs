//! Sizes as people write them (`64m`, `1.5GiB`), read as Docker's own tools read them.

/// Reads a size in bytes; units are powers of 1024, whichever way they are written.
///
/// # Errors
/// dockerd's words.
pub fn ram_in_bytes(text: &str) -> Result<u64, String> {
    let (number, power) = split(text)?;
    let unit = 1024_u64.pow(power);
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(unit).ok_or_else(|| bad(text)),
        Err(_) => fraction(text, number, unit),
    }
}

/// Reads a size in bytes; units are powers of 1000, whichever way they are written (log options).
///
/// # Errors
/// dockerd's words.
pub fn human_bytes(text: &str) -> Result<u64, String> {
    let (number, power) = split(text)?;
    fraction(text, number, 1000_u64.pow(power))
}

/// The number, and the power of its unit.
fn split(text: &str) -> Result<(&str, u32), String> {
    let end = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .ok_or_else(|| bad(text))?
        + 1;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(bad(text)),
    };
    Ok((number, power))
}

fn fraction(text: &str, number: &str, unit: u64) -> Result<u64, String> {
    let number: f64 = number.parse().map_err(|_| bad(text))?;
    let bytes = number * unit as f64;
    // Above 2^53 a fraction of a byte has no meaning left; below it the cast is exact but for the fraction.
    if bytes.is_finite() && (0.0..9e15).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(bad(text))
    }
}

fn bad(text: &str) -> String {
    format!("invalid size: '{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_logs_are_powers_of_1000() {
        for (text, bytes) in [
            ("0", 0),
            ("10k", 10_000),
            ("1.5m", 1_500_000),
            ("2 GiB", 2_000_000_000),
        ] {
            assert_eq!(human_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "1x", "-1", "1..5"] {
            assert_eq!(human_bytes(text), Err(format!("invalid size: '{text}'")));
        }
    }

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("64m", 64 << 20),
            ("64 MB", 64 << 20),
            ("1.5KiB", 1536),
            ("2G", 2 << 30),
        ] {
            assert_eq!(ram_in_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "1x", "-1", "1..5", "99999999999999999999p", "k"] {
            assert_eq!(ram_in_bytes(text), Err(format!("invalid size: '{text}'")));
        }
    }
}
