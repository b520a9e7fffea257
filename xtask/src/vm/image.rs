//! Debian's kernel packages, fetched and unpacked once; none is installed.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{cpio::Archive, guest};
use crate::shell;

/// Modules that the guest needs before it sees this machine's file system.
const BOOT_MODULES: [&str; 5] = ["virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay"];

/// An unpacked kernel: `kernel`, `initramfs`, `lib/modules/RELEASE`.
pub struct Image {
    pub folder: PathBuf,
    pub release: String,
}

/// The unpacked kernel for a short name (`6.1`) or a package.
pub fn prepare(name: &str) -> Result<Image> {
    let cache = cache();
    let short = cache.join(name);
    if !short.join("initramfs").exists() {
        let package = package(name)?;
        shell::step(&format!("fetching {package} into {}", cache.display()));
        fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
        let work = tempfile::tempdir_in(&cache)?;
        unpack(&package, work.path())?;
        // Another process may have been quicker; its result is as good.
        if fs::rename(work.path().join("root"), &short).is_err() && !short.join("initramfs").exists() {
            bail!("cannot move the unpacked kernel to {}", short.display());
        }
    }
    Ok(Image { release: release(&short)?, folder: short })
}

fn cache() -> PathBuf {
    let home = std::env::var_os("HOME").map_or(PathBuf::from("/root"), PathBuf::from);
    std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from).join("routerd-vm")
}

/// Follows a meta-package to the package that holds the kernel.
fn package(name: &str) -> Result<String> {
    let meta = match name {
        "6.1" => "linux-image-amd64".to_owned(),
        number if number.starts_with(|c: char| c.is_ascii_digit()) => format!("linux-image-{number}-amd64"),
        package => package.to_owned(),
    };
    let is_kernel = |name: &str| name.starts_with("linux-image-") && name.split('.').count() >= 3;
    if is_kernel(&meta) {
        return Ok(meta);
    }
    let depends = || shell::output(Command::new("apt-cache").args(["depends", &meta]));
    let mut text = depends().unwrap_or_default();
    if text.is_empty() && lab::is_root() {
        shell::run(Command::new("apt-get").args(["-q", "update"]))?;
        text = depends().unwrap_or_default();
    }
    match text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).find(|name| is_kernel(name)) {
        Some(package) => Ok(package.to_owned()),
        None => {
            bail!("apt knows no kernel package behind {meta} (is this Debian 12, has apt-get update run?)")
        }
    }
}

fn unpack(package: &str, work: &Path) -> Result<()> {
    // apt fetches as its own user where it can, who must be able to write here.
    fs::set_permissions(work, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    shell::run(Command::new("apt-get").args(["-q", "download", package]).current_dir(work))?;
    let files = fs::read_dir(work)?.flatten().map(|entry| entry.path());
    let deb = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb"));
    let deb = deb.with_context(|| format!("apt-get download {package} left no file"))?;
    let root = work.join("root");
    shell::output(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&root))?;
    let release = release(&root)?;
    shell::output(Command::new("depmod").arg("-b").arg(&root).arg(&release))?;
    let vmlinuz = fs::read(root.join("boot").join(format!("vmlinuz-{release}")))?;
    // Under emulation the kernel's own unpacking costs seconds at every start.
    fs::write(root.join("kernel"), bare_kernel(&vmlinuz).unwrap_or(vmlinuz))?;
    fs::write(root.join("initramfs"), initramfs(&root.join("lib/modules").join(&release))?)?;
    Ok(())
}

fn release(root: &Path) -> Result<String> {
    let folder = root.join("lib/modules");
    let entry = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?.flatten().next();
    let name = entry.with_context(|| format!("{} is empty", folder.display()))?.file_name();
    Ok(name.to_string_lossy().into_owned())
}

/// The ELF kernel inside a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length).
fn bare_kernel(image: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    let start = (usize::from(*image.get(0x1f1)?) + 1) * 512 + word(0x248)?;
    let payload = image.get(start..start + word(0x24c)?)?;
    let unpacked = match payload.get(..4)? {
        [0xfd, b'7', b'z', b'X'] => filter("xz", payload),
        [0x28, 0xb5, 0x2f, 0xfd] => filter("zstd", payload),
        [0x1f, 0x8b, ..] => filter("gzip", payload),
        _ => payload.to_vec(),
    };
    unpacked.starts_with(b"\x7fELF").then_some(unpacked)
}

/// `PROGRAM -dc` over bytes. The payload ends with its size, which the program takes for rubbish: its exit status
/// says nothing, what came out does.
fn filter(program: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut command = Command::new(program);
    command.args(["-d", "-c", "-q"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Vec::new() };
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let mut out = Vec::new();
    std::thread::scope(|scope| {
        // Ends early when the program has seen enough.
        scope.spawn(move || input.map(|mut input| input.write_all(bytes)));
        if let Some(mut output) = output
            && output.read_to_end(&mut out).is_err()
        {
            out.clear();
        }
    });
    // Reaped only; see above for its status.
    let _ = child.wait();
    out
}

/// busybox, the start-up script and the boot modules in the order in which they load.
fn initramfs(modules: &Path) -> Result<Vec<u8>> {
    let mut depends: HashMap<String, Vec<String>> = HashMap::new();
    for line in fs::read_to_string(modules.join("modules.dep"))?.lines() {
        if let Some((file, needs)) = line.split_once(':') {
            depends.insert(file.to_owned(), needs.split_whitespace().map(str::to_owned).collect());
        }
    }
    let by_name: HashMap<String, String> = depends.keys().map(|file| (module(file), file.clone())).collect();
    let builtin = fs::read_to_string(modules.join("modules.builtin"))?;
    let builtin: HashSet<String> = builtin.lines().map(module).collect();
    let mut order: Vec<String> = Vec::new();
    for name in BOOT_MODULES {
        match by_name.get(name) {
            Some(file) => {
                let needs = depends.get(file).map(Vec::as_slice).unwrap_or_default();
                // modules.dep lists what a module needs with the deepest last.
                for file in needs.iter().rev().chain([file]) {
                    if !order.contains(file) {
                        order.push(file.clone());
                    }
                }
            }
            None if builtin.contains(name) => {}
            None => bail!("the kernel has no module {name}: take a full image, not a cloud one"),
        }
    }
    let busybox = shell::which("busybox").context("busybox is not installed")?;
    let mut archive = Archive::new();
    for folder in ["bin", "modules"] {
        archive.folder(folder);
    }
    archive.program("bin/busybox", &fs::read(busybox)?);
    archive.program("init", guest::INIT.as_bytes());
    for (index, file) in order.iter().enumerate() {
        let bytes = fs::read(modules.join(file))?;
        let bytes = match Path::new(file).extension().and_then(|end| end.to_str()) {
            Some("xz") => filter("xz", &bytes),
            Some("zst") => filter("zstd", &bytes),
            _ => bytes,
        };
        archive.program(&format!("modules/{index:02}-{}", module(file)), &bytes);
    }
    Ok(archive.finish())
}

/// `kernel/fs/9p/9p.ko.xz` -> `9p`; dashes and underscores are the same in module names.
fn module(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names() {
        assert_eq!(module("kernel/fs/9p/9p.ko"), "9p");
        assert_eq!(module("kernel/drivers/virtio/virtio-pci.ko.xz"), "virtio_pci");
    }

    #[test]
    fn what_is_no_kernel_image_is_refused() {
        assert_eq!(bare_kernel(&[0; 64]), None);
        assert_eq!(bare_kernel(&[0; 4096]), None);
    }
}
