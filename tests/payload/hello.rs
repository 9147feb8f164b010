//! What runs in the demo's container: one static program in an otherwise empty image, telling what it sees from inside.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Long enough for somebody outside to look at this process.
const STAY: Duration = Duration::from_millis(1500);

fn main() {
    let greeting = std::env::var("GREETING").unwrap_or_default();
    println!("{greeting}");
    println!("  I am process {} of this container, on host {}", std::process::id(), host());
    println!("  my root holds: {}", names("/"));
    println!("  my network has: {}", names("/sys/class/net"));
    println!("  my capabilities: {}", status("CapEff"));
    if let Err(error) = fs::write("/written", "mine") {
        println!("  I cannot write here: {error}");
    }
    sleep(STAY);
    println!("  goodbye");
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

fn names(directory: &str) -> String {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.join(" ")
}

fn status(name: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}
