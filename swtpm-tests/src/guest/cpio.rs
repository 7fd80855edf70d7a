//! An initramfs in the `newc` format (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Its digest is part of the measured boot, so the same content gives the same bytes: names in order, every time stamp
//! zero, every owner root.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

/// The files of an initramfs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    mode: u32,
    /// Major and minor number, of a device.
    device: (u32, u32),
    data: Vec<u8>,
}

const DIRECTORY: u32 = 0o040_755;
const SYMBOLIC_LINK: u32 = 0o120_777;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_600;
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

impl Archive {
    /// Adds or replaces a file, and the folders above it. The path has no leading slash.
    #[must_use]
    pub fn with_file(self, path: &str, mode: u32, data: impl Into<Vec<u8>>) -> Self {
        self.with(path, Node { mode: REGULAR | (mode & 0o7777), device: (0, 0), data: data.into() })
    }

    /// Adds a folder, and those above it.
    #[must_use]
    pub fn with_folder(self, path: &str) -> Self {
        self.with(path, Node { mode: DIRECTORY, device: (0, 0), data: Vec::new() })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn with_link(self, path: &str, target: &str) -> Self {
        self.with(path, Node { mode: SYMBOLIC_LINK, device: (0, 0), data: target.into() })
    }

    /// Adds a character device.
    #[must_use]
    pub fn with_device(self, path: &str, major: u32, minor: u32) -> Self {
        self.with(path, Node { mode: CHARACTER_DEVICE, device: (major, minor), data: Vec::new() })
    }

    fn with(mut self, path: &str, node: Node) -> Self {
        for (end, _) in path.match_indices('/') {
            if let Some(above) = path.get(..end) {
                let folder = Node { mode: DIRECTORY, device: (0, 0), data: Vec::new() };
                self.nodes.entry(above.to_owned()).or_insert(folder);
            }
        }
        self.nodes.insert(path.to_owned(), node);
        self
    }

    /// The archive, uncompressed.
    ///
    /// # Errors
    /// A file is too long for the format (4 GiB).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        // A folder's name sorts before the names in it, so it is made first.
        for (inode, (name, node)) in (1..).zip(&self.nodes) {
            entry(&mut out, inode, name, node).with_context(|| format!("archiving {name}"))?;
        }
        entry(&mut out, 0, TRAILER, &Node { mode: 0, device: (0, 0), data: Vec::new() })?;
        Ok(out)
    }
}

fn entry(out: &mut Vec<u8>, inode: u32, name: &str, node: &Node) -> Result<()> {
    ensure!(!name.starts_with('/') && !name.contains('\0'), "no name for an archive");
    let size = u32::try_from(node.data.len()).context("the file is too long")?;
    let name_size = u32::try_from(name.len() + 1).context("the name is too long")?;
    let (major, minor) = node.device;
    // inode, mode, uid, gid, links, mtime, size, device (2), device this node is (2), length of the name, checksum
    let fields = [inode, node.mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(&node.data);
    pad(out);
    Ok(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_brings_the_folders_above_it_and_they_come_first() {
        let bytes = Archive::default().with_file("usr/bin/x", 0o755, "hello").to_bytes().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("07070100000001000041ED"), "{text}");
        let names: Vec<usize> = ["usr\0", "usr/bin\0", "usr/bin/x\0", TRAILER].map(|n| text.find(n).unwrap()).into();
        assert!(names.is_sorted(), "{names:?}");
        assert!(text.contains("hello\x00\x00\x00070701"), "content is padded to four bytes: {text}");
    }

    #[test]
    fn the_same_content_gives_the_same_bytes_in_whatever_order_it_came() {
        let one = Archive::default().with_file("a", 0o644, "1").with_link("b", "a").with_device("dev/console", 5, 1);
        let two = Archive::default().with_device("dev/console", 5, 1).with_link("b", "a").with_file("a", 0o644, "1");
        assert_eq!(one.to_bytes().unwrap(), two.to_bytes().unwrap());
        assert_ne!(one.to_bytes().unwrap(), two.with_file("a", 0o644, "2").to_bytes().unwrap());
    }

    #[test]
    fn an_absolute_name_is_refused() {
        assert!(Archive::default().with_file("/a", 0o644, "1").to_bytes().is_err());
    }
}
