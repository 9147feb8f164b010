//! Archives made byte by byte, good and bad, and read back without the code under test.

pub(crate) const BLOCK: usize = 512;

/// One entry as it shall stand in an archive.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) flag: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: u64,
    /// The size field; the content's length unless it lies.
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    pub(crate) content: Vec<u8>,
    /// Records of an extended header before it.
    pub(crate) records: Vec<(Vec<u8>, Vec<u8>)>,
    /// The magic and version fields.
    pub(crate) magic: [u8; 8],
}

impl Item {
    fn new(name: &[u8], flag: u8, mode: u32) -> Self {
        Item {
            name: name.to_vec(),
            flag,
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            modified: 1_600_000_000,
            size: 0,
            device: (0, 0),
            content: Vec::new(),
            records: Vec::new(),
            magic: *b"ustar\x0000",
        }
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        Item { mode, ..self }
    }

    pub(crate) fn owner(self, uid: u32, gid: u32) -> Self {
        Item { uid, gid, ..self }
    }

    pub(crate) fn modified(self, modified: u64) -> Self {
        Item { modified, ..self }
    }

    pub(crate) fn record(mut self, key: &str, value: &[u8]) -> Self {
        self.records.push((key.as_bytes().to_vec(), value.to_vec()));
        self
    }

    /// The entry's bytes, content and padding with them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.records.is_empty() {
            let content: Vec<u8> = self
                .records
                .iter()
                .flat_map(|(key, value)| record(key, value))
                .collect();
            bytes.extend(
                Item {
                    flag: b'x',
                    ..file("PaxHeaders/x", &content)
                }
                .bytes(),
            );
        }
        bytes.extend(self.header());
        bytes.extend(padded(&self.content));
        bytes
    }

    pub(crate) fn header(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..self.name.len()].copy_from_slice(&self.name);
        block[157..157 + self.link.len()].copy_from_slice(&self.link);
        let mut octal = |at: usize, digits: usize, number: u64| {
            block[at..at + digits].copy_from_slice(format!("{number:0digits$o}").as_bytes());
        };
        octal(100, 7, self.mode.into());
        octal(108, 7, self.uid.into());
        octal(116, 7, self.gid.into());
        octal(124, 11, self.size);
        octal(136, 11, self.modified);
        octal(329, 7, self.device.0.into());
        octal(337, 7, self.device.1.into());
        block[156] = self.flag;
        block[257..265].copy_from_slice(&self.magic);
        seal(&mut block);
        block
    }
}

/// Writes a header block's checksum.
pub(crate) fn seal(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

pub(crate) fn file(name: &str, content: &[u8]) -> Item {
    raw_file(name.as_bytes(), content)
}

pub(crate) fn raw_file(name: &[u8], content: &[u8]) -> Item {
    Item {
        size: content.len() as u64,
        content: content.to_vec(),
        ..Item::new(name, b'0', 0o644)
    }
}

pub(crate) fn dir(name: &str) -> Item {
    Item::new(format!("{name}/").as_bytes(), b'5', 0o755)
}

pub(crate) fn symlink(name: &str, target: &str) -> Item {
    Item {
        link: target.as_bytes().to_vec(),
        ..Item::new(name.as_bytes(), b'2', 0o777)
    }
}

pub(crate) fn hard_link(name: &str, target: &str) -> Item {
    Item {
        link: target.as_bytes().to_vec(),
        ..Item::new(name.as_bytes(), b'1', 0o644)
    }
}

pub(crate) fn node(name: &str, flag: u8, device: (u32, u32)) -> Item {
    Item {
        device,
        ..Item::new(name.as_bytes(), flag, 0o620)
    }
}

/// A GNU long name or long link before an item.
pub(crate) fn gnu_long(flag: u8, text: &[u8]) -> Vec<u8> {
    let content = [text, b"\0"].concat();
    Item {
        flag,
        magic: *b"ustar  \0",
        ..file("././@LongLink", &content)
    }
    .bytes()
}

pub(crate) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (1..9)
        .map(|digits| rest + digits)
        .find(|length| length - rest == length.to_string().len());
    [
        length.unwrap().to_string().as_bytes(),
        b" ",
        key,
        b"=",
        value,
        b"\n",
    ]
    .concat()
}

pub(crate) fn padded(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(BLOCK), 0);
    content
}

/// A whole archive of entries' bytes.
pub(crate) fn archive_of(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 2 * BLOCK]].concat()
}

/// A whole archive.
pub(crate) fn archive(items: &[Item]) -> Vec<u8> {
    archive_of(&items.iter().map(Item::bytes).collect::<Vec<_>>())
}

/// `TYPE NAME [LINK]` of each entry of a good archive; extended names taken in.
pub(crate) fn listing(mut archive: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let (mut name, mut link) = (None, None);
    while archive.len() >= BLOCK && archive[..BLOCK] != [0; BLOCK] {
        let text = |at: usize, length: usize| {
            let field = &archive[at..at + length];
            field.split(|byte| *byte == 0).next().unwrap().to_vec()
        };
        let size = usize::from_str_radix(std::str::from_utf8(&text(124, 12)).unwrap(), 8).unwrap();
        let content = &archive[BLOCK..BLOCK + size];
        if archive[156] == b'x' {
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(line);
                let (key, value) = line
                    .split_once(' ')
                    .unwrap()
                    .1
                    .trim_end()
                    .split_once('=')
                    .unwrap();
                match key {
                    "path" => name = Some(value.to_owned()),
                    "linkpath" => link = Some(value.to_owned()),
                    _ => {}
                }
            }
        } else {
            let plain = |at, length| String::from_utf8(text(at, length)).unwrap();
            let name = name.take().unwrap_or_else(|| plain(0, 100));
            let link = link.take().unwrap_or_else(|| plain(157, 100));
            let line = format!("{} {name} {link}", char::from(archive[156]));
            found.push(line.trim_end().to_owned());
        }
        archive = &archive[BLOCK + size.next_multiple_of(BLOCK)..];
    }
    found
}
