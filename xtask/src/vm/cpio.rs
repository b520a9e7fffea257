//! Archives that the kernel unpacks at boot: the "new ASCII" cpio format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

const DIRECTORY: u32 = 0o040755;
const FILE: u32 = 0o100755;

/// An archive in memory. The kernel takes several of them one after the other in one file.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a folder; its parents have to be there.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, DIRECTORY, &[]);
    }

    /// Adds an executable file.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, FILE, content);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name = path.trim_start_matches('/');
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(content.len()).unwrap_or(u32::MAX),
            0,
            0,
            0,
            0,
            u32::try_from(name.len() + 1).unwrap_or(u32::MAX),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, process::Command, process::Stdio};

    use super::*;

    #[test]
    fn another_reader_finds_the_same_files() {
        let Some(busybox) = crate::shell::which("busybox") else { lab::skip!("busybox is not installed") };
        let mut archive = Archive::default();
        archive.folder("/bin");
        archive.file("/bin/odd", b"12345");
        archive.file("/init", b"#!/bin/sh\n");
        let folder = tempfile::tempdir().unwrap();
        let mut reader = Command::new(busybox)
            .args(["cpio", "-id"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        reader.stdin.take().unwrap().write_all(&archive.finish()).unwrap();
        assert!(reader.wait().unwrap().success());
        assert_eq!(fs::read(folder.path().join("bin/odd")).unwrap(), b"12345");
        assert_eq!(fs::read(folder.path().join("init")).unwrap(), b"#!/bin/sh\n");
    }
}
