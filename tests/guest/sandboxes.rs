//! Which processes are in capability mode, and what their descriptors may be used for.

use crate::story::Story;

/// Processes of one program that are in capability mode, and all of them.
const EXPECTED: [(&str, usize, usize); 6] = [
    ("cellblock-zfs", 1, 1),
    ("cellblock-archive", 1, 1),
    // Pairs: the front is in capability mode, the hand makes the calls that are forbidden there.
    ("cellblock-jail", 1, 2),
    ("cellblock-net", 1, 2),
    ("cellblock-mount", 1, 2),
    ("cellblockd", 0, 1),
];

/// Asks ps(1) for the state of each process, in which `C` stands for capability mode, and procstat(1) for descriptors.
pub(crate) fn are_closed(story: &mut Story) {
    let list = story.guest("ps -axo user,stat,ucomm | grep cellblock");
    for (program, confined, all) in EXPECTED {
        let states: Vec<&str> = list
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (_, state, name) = (words.next()?, words.next()?, words.next()?);
                (name == program).then_some(state)
            })
            .collect();
        let found = states.iter().filter(|state| state.contains('C')).count();
        assert_eq!((found, states.len()), (confined, all), "{program}\n{list}");
    }
    // /dev/zfs is good for ioctl(2) and nothing else: the rights are printed by their short names.
    let rights = story.guest("procstat -C -f $(pgrep -x cellblock-zfs) | grep /dev/zfs");
    let rights = rights
        .split_whitespace()
        .find(|word| word.contains("io"))
        .unwrap_or_default();
    assert_eq!(rights, "io", "rights of /dev/zfs");
    assert!(
        list.lines()
            .any(|line| line.starts_with("cellblock") && line.contains("cellblockd")),
        "{list}"
    );
}
