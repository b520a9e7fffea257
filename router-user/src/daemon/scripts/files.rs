//! The files of the router: one folder, out of which no name leads.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// The largest file that a script reads.
const MAX_BYTES: u64 = 8 << 20;

/// The place of a file.
pub fn path(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let name = name.trim_start_matches('/');
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    match inside && !name.is_empty() {
        true => Ok(folder.join(name)),
        false => Err(format!("failure: {name} is no name of a file")),
    }
}

pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    match u64::try_from(content.len()).is_ok_and(|length| length <= MAX_BYTES) {
        true => Ok(content),
        false => Err(io::Error::other("the file is too large")),
    }
}

/// What a script writes may be secret, so it is its owner's alone.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder() {
        let folder = Path::new("/var/lib/x");
        assert_eq!(path(folder, "/a/b.rsc").unwrap(), Path::new("/var/lib/x/a/b.rsc"));
        for bad in ["", "/", "../a", "a/../../b", "./a"] {
            assert!(path(folder, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = path(folder.path(), "flash/a.txt").unwrap();
        write(&file, b"one").unwrap();
        write(&file, b"2").unwrap();
        assert_eq!(read(&file).unwrap(), b"2");
        assert!(read(&folder.path().join("none")).is_err());
    }
}
