//! What a container changed in its file system: seen, kept as an image, taken out.

use crate::story::Story;

pub(crate) fn are_seen_committed_and_exported(story: &mut Story) {
    let script = "echo new > /new; mkdir -p /d/e; echo f > /d/e/f; rm /etc/services; chmod 700 /etc/ttys";
    story.docker(&format!("run --name changed base sh -c '{script}'"));
    let mut diff: Vec<String> = story.docker("diff changed").lines().map(str::to_owned).collect();
    diff.sort();
    for wanted in [
        "A /d",
        "A /d/e",
        "A /d/e/f",
        "A /new",
        "C /etc",
        "C /etc/ttys",
        "D /etc/services",
    ] {
        assert!(diff.iter().any(|line| line == wanted), "{wanted}: {diff:?}");
    }
    story.docker("commit -m why --change 'CMD [\"cat\", \"/d/e/f\"]' changed kept");
    story.docker("rm changed");
    assert_eq!(story.docker("run --rm kept"), "f");
    assert_eq!(
        story.docker("run --rm kept sh -c 'cat /new; ls /etc/services 2>/dev/null; stat -f %Lp /etc/ttys'"),
        "new\n700"
    );
    let archive = story.machine.folder().join("export.tar");
    story.docker("create --name out kept");
    story.docker(&format!("export -o {} out", archive.display()));
    let list = std::process::Command::new("tar")
        .arg("-tf")
        .arg(&archive)
        .output()
        .unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        list.lines().any(|name| name.trim_start_matches("./") == "d/e/f"),
        "{list}"
    );
    story.docker("rm out");
    story.docker("rmi kept");
}
