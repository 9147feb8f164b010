//! `cellblock-jail`: jails and the processes in them, for the daemon. See the library for what happens.

fn main() -> std::process::ExitCode {
    cellblock_jail::run()
}
