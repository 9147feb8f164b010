//! What is mounted, in pages, and how a page travels from the hand to the front: NUL-ended strings, three for
//! each mount.
#![forbid(unsafe_code)]

use helper_runtime::pair::ANSWER_BLOCK_BYTES_MAX;
use protocol::limits::LIST_ITEMS_MAX;
use protocol::mount::Mounted;
use protocol::names::{MountName, RelPath, Text};
use std::path::Path;

/// A mount, if `path` lies below `mount_root` and its names are ones that we give. What others mounted there
/// is not listed.
pub(crate) fn ours(mount_root: &Path, path: &Path, kind: &str) -> Option<Mounted> {
    let inside = path.strip_prefix(mount_root).ok()?.to_str()?;
    let (at, target) = inside.split_once('/').unwrap_or((inside, ""));
    Some(Mounted {
        at: MountName::new(at).ok()?,
        target: RelPath::new(target).ok()?,
        kind: Text::cut(kind),
    })
}

/// One page in name order, after the mount point `after`. A mount point's mounts stand on one page, so that
/// the name of the last one is a good cursor; a mount point with more mounts than a page holds is shown
/// without its last ones.
pub(crate) fn page(mut mounts: Vec<Mounted>, after: Option<&MountName>) -> Vec<Mounted> {
    mounts.retain(|mounted| after.is_none_or(|after| mounted.at > *after));
    mounts.sort_by(|a, b| (&a.at, &a.target).cmp(&(&b.at, &b.target)));
    let mut bytes = 0;
    let fits = mounts
        .iter()
        .take(LIST_ITEMS_MAX)
        .take_while(|mounted| {
            bytes += block_bytes(mounted);
            bytes <= ANSWER_BLOCK_BYTES_MAX
        })
        .count();
    let cut_in = mounts.get(fits).map(|next| next.at.clone());
    mounts.truncate(fits);
    if let Some(cut_in) = cut_in
        && mounts.first().is_some_and(|first| first.at != cut_in)
    {
        mounts.retain(|mounted| mounted.at != cut_in);
    }
    mounts
}

/// The page's bytes.
pub(crate) fn to_block(mounts: &[Mounted]) -> Vec<u8> {
    let strings = mounts.iter().flat_map(|mounted| {
        [
            mounted.at.as_str(),
            mounted.target.as_str(),
            mounted.kind.as_str(),
        ]
    });
    strings.flat_map(|text| text.bytes().chain([0])).collect()
}

/// The page that the bytes hold; none where they are not a page.
pub(crate) fn from_block(block: &[u8]) -> Option<Vec<Mounted>> {
    let Some(strings) = block.strip_suffix(&[0]) else {
        return block.is_empty().then(Vec::new);
    };
    let strings: Vec<&str> = strings
        .split(|byte| *byte == 0)
        .map(std::str::from_utf8)
        .collect::<Result<_, _>>()
        .ok()?;
    let (mounts, []) = strings.as_chunks::<3>() else {
        return None;
    };
    mounts
        .iter()
        .map(|[at, target, kind]| {
            let (at, target) = (MountName::new(*at).ok()?, RelPath::new(*target).ok()?);
            Some(Mounted {
                at,
                target,
                kind: Text::new(*kind).ok()?,
            })
        })
        .collect()
}

fn block_bytes(mounted: &Mounted) -> usize {
    mounted.at.as_str().len() + mounted.target.as_str().len() + mounted.kind.as_str().len() + 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(at: &str, target: &str) -> Mounted {
        let (at, target) = (MountName::new(at).unwrap(), RelPath::new(target).unwrap());
        Mounted {
            at,
            target,
            kind: Text::new("tmpfs").unwrap(),
        }
    }

    #[test]
    fn only_our_names_below_the_mount_root_are_listed() {
        let seen = |path: &str| ours(Path::new("/b/mnt"), Path::new(path), "tmpfs");
        assert_eq!(seen("/b/mnt/c-1"), Some(mounted("c-1", "")));
        assert_eq!(seen("/b/mnt/c-1/run/lock"), Some(mounted("c-1", "run/lock")));
        assert_eq!(seen("/b/mnt"), None);
        assert_eq!(seen("/b/mntx/c-1"), None);
        assert_eq!(seen("/b/mnt/Not Ours"), None);
        assert_eq!(seen("/"), None);
    }

    #[test]
    fn pages_follow_each_other_without_loss() {
        let all: Vec<Mounted> = (0..400)
            .flat_map(|i| ["", "a", "b"].map(|t| mounted(&format!("c-{i:03}"), t)))
            .collect();
        let mut shuffled = all.clone();
        shuffled.reverse();
        let mut seen: Vec<Mounted> = Vec::new();
        loop {
            let after = seen.last().map(|last| last.at.clone());
            let next = page(shuffled.clone(), after.as_ref());
            if next.is_empty() {
                break;
            }
            assert!(next.len() <= LIST_ITEMS_MAX);
            assert!(next.len().is_multiple_of(3), "a mount point was torn apart");
            seen.extend(next);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_page_fits_an_answer() {
        let long = "x".repeat(1000);
        let mounts = (0..300).map(|i| mounted(&format!("c-{i:03}"), &long)).collect();
        let page = page(mounts, None);
        assert!(page.len() > 90);
        assert!(to_block(&page).len() <= ANSWER_BLOCK_BYTES_MAX);
    }

    #[test]
    fn a_mount_point_larger_than_a_page_does_not_stop_the_listing() {
        let mut mounts: Vec<Mounted> = (0..600).map(|i| mounted("c-1", &format!("m{i:03}"))).collect();
        mounts.push(mounted("c-2", ""));
        let first = page(mounts.clone(), None);
        assert_eq!(first.len(), LIST_ITEMS_MAX);
        assert_eq!(page(mounts, Some(&first[0].at)), [mounted("c-2", "")]);
    }

    #[test]
    fn a_page_survives_the_way_to_the_front() {
        let mounts = vec![mounted("c-1", ""), mounted("c-1", "a\nb"), mounted("v-1", "")];
        assert_eq!(from_block(&to_block(&mounts)), Some(mounts));
        assert_eq!(from_block(&[]), Some(Vec::new()));
        assert_eq!(from_block(b"c-1\0\0"), None);
        assert_eq!(from_block(b"c-1\0\0tmpfs"), None);
        assert_eq!(from_block(b"c-1\0..\0tmpfs\0"), None);
    }
}
