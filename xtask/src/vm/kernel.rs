//! Stock Debian kernels, unpacked into a cache: nothing is installed.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use super::cpio::Archive;
use crate::shell;

/// What the guest needs before it sees its root file system.
const ROOT_MODULES: [&str; 5] = ["virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay"];
/// Cards; loaded only where the machine has one.
const CARD_MODULES: [&str; 1] = ["virtio_net"];
/// Folders of the package that a router without a screen never loads from: half its size.
const UNUSED: [&str; 6] =
    ["drivers/gpu", "drivers/media", "drivers/iio", "drivers/infiniband", "drivers/staging", "sound"];

/// A kernel ready to boot.
pub struct Kernel {
    /// Holds `vmlinux`, `initramfs` and `lib/modules`.
    folder: PathBuf,
    /// As `uname -r` says.
    pub release: String,
}

impl Kernel {
    /// The newest kernel of a series (`6.1`) or of the exact package name, fetched and unpacked the first time.
    pub fn of(series: &str) -> Result<Kernel> {
        let cache = cache()?;
        fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
        let lock = fs::File::create(cache.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive).context("lock the kernel cache")?;
        let mut unpacked = names(&cache)?;
        unpacked.retain(|name| cache.join(name).join("vmlinux").is_file());
        if let Some(folder) = newest(unpacked, series) {
            return Kernel::open(cache.join(folder));
        }
        let mut package = package(series)?;
        let scratch = tempfile::tempdir_in(&cache)?;
        if let Err(error) = fetch(&package, scratch.path()) {
            // Debian removes a kernel from the archive when the next one is out.
            if !lab::is_root() {
                return Err(error.context("try: sudo apt-get update"));
            }
            shell::run(Command::new("apt-get").args(["-q", "update"]))?;
            package = self::package(series)?;
            fetch(&package, scratch.path())?;
        }
        unpack(&package, scratch.path())?;
        // The rename makes it whole or absent, whenever the unpacking is stopped.
        let target = cache.join(&package);
        fs::rename(scratch.path().join("tree"), &target)?;
        Kernel::open(target)
    }

    fn open(folder: PathBuf) -> Result<Kernel> {
        let release = release(&folder)?;
        Ok(Kernel { folder, release })
    }

    /// The kernel proper, an ELF file.
    pub fn image(&self) -> PathBuf {
        self.folder.join("vmlinux")
    }

    /// The archive with busybox and the modules; a second one with `/init` follows it in the file that boots.
    pub fn initramfs(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.folder.join("initramfs"))?)
    }

    pub fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }

    /// Modules of the initramfs in an order in which they load.
    pub fn boot_modules(&self, cards: bool) -> Result<Vec<String>> {
        let modules = Modules::read(&self.modules())?;
        let mut names = ROOT_MODULES.to_vec();
        if cards {
            names.extend(CARD_MODULES);
        }
        Ok(modules.order(&names)?.iter().map(|path| module_name(path)).collect())
    }
}

fn cache() -> Result<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache"))) {
        Some(cache) => Ok(cache.join("routerd-vm")),
        None => bail!("HOME is not set: no place to keep kernels"),
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    Ok(fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

/// The highest version among `linux-image-SERIES.*-amd64`, without its realtime and cloud flavours.
fn newest(packages: Vec<String>, series: &str) -> Option<String> {
    let version = |name: &String| -> Option<Vec<u32>> {
        if name == series {
            return Some(Vec::new());
        }
        let version = name.strip_prefix("linux-image-")?.strip_suffix("-amd64")?;
        let plain = version.chars().all(|c| c.is_ascii_digit() || ".-+".contains(c) || "deb".contains(c));
        let rest = version.strip_prefix(series)?;
        if !plain || !rest.starts_with(['.', '-']) {
            return None;
        }
        Some(version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect())
    };
    packages.into_iter().filter_map(|name| Some((version(&name)?, name))).max().map(|(_, name)| name)
}

/// The package of a series, by apt's lists.
fn package(series: &str) -> Result<String> {
    if shell::which("apt-get").is_none() {
        bail!("the virtual machine runs Debian's kernels, and this machine has no apt-get to fetch one");
    }
    let known = || -> Result<Option<String>> {
        let prefix =
            if series.starts_with("linux-image-") { series.into() } else { format!("linux-image-{series}") };
        let list = shell::output(Command::new("apt-cache").args(["pkgnames", &prefix]))?;
        Ok(newest(list.lines().map(str::to_owned).collect(), series))
    };
    if let Some(package) = known()? {
        return Ok(package);
    }
    if ::lab::is_root() {
        shell::run(Command::new("apt-get").args(["-q", "update"]))?;
        if let Some(package) = known()? {
            return Ok(package);
        }
    }
    bail!("apt knows no kernel {series} (Debian 12 has 6.1 and 6.12); try: sudo apt-get update");
}

fn fetch(package: &str, scratch: &Path) -> Result<()> {
    shell::run(Command::new("apt-get").current_dir(scratch).args(["-q", "download", package]))
}

fn unpack(package: &str, scratch: &Path) -> Result<()> {
    let tree = scratch.join("tree");
    fs::create_dir(&tree)?;
    let Some(file) = names(scratch)?.into_iter().find(|name| name.ends_with(".deb")) else {
        bail!("apt-get download {package} left no package");
    };
    shell::step(&format!("unpack {package}"));
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(scratch.join(file))
        .stdout(Stdio::piped())
        .spawn()
        .context("start dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner"])
        .args(UNUSED.map(|folder| format!("--exclude=*/kernel/{folder}")));
    tar.arg("--directory").arg(&tree);
    if let Some(stream) = archive.stdout.take() {
        tar.stdin(stream);
    }
    let (unpacked, read) = (tar.status().context("start tar")?, archive.wait()?);
    if !unpacked.success() || !read.success() {
        bail!("unpacking {package} failed");
    }
    let release = release(&tree)?;
    let depmod = shell::which("depmod").context("depmod is missing: cargo xtask setup installs it")?;
    shell::output(Command::new(depmod).arg("--basedir").arg(&tree).arg(&release))?;
    let boot = tree.join("boot").join(format!("vmlinuz-{release}"));
    fs::write(tree.join("vmlinux"), decompress_kernel(&fs::read(boot)?)?)?;
    fs::write(tree.join("initramfs"), base_archive(&tree.join("lib/modules").join(&release))?)?;
    Ok(())
}

fn release(tree: &Path) -> Result<String> {
    let folder = tree.join("lib/modules");
    let found = names(&folder).with_context(|| format!("read {}", folder.display()))?;
    found.into_iter().next().with_context(|| format!("{} is empty", folder.display()))
}

/// The ELF file inside a bzImage (Documentation/arch/x86/boot.rst). Booting it directly spares the guest its
/// own unpacking, which takes seconds under emulation.
fn decompress_kernel(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Option<usize> {
        usize::try_from(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?)).ok()
    };
    let payload = || -> Option<&[u8]> {
        let setup_sectors = usize::from(*image.get(0x1f1)?);
        let start = (setup_sectors + 1) * 512 + word(0x248)?; // payload_offset
        image.get(start..start + word(0x24c)?) // payload_length
    };
    let payload = payload().context("the kernel is no bzImage")?;
    // All but gzip have the size of the result in their last four bytes.
    let body = payload.get(..payload.len().saturating_sub(4)).unwrap_or_default();
    let kernel = if payload.starts_with(b"\xfd7zXZ") {
        filter("xz", &["-dc", "--single-stream"], body)?
    } else if payload.starts_with(b"\x28\xb5\x2f\xfd") {
        filter("zstd", &["-dcq"], body)?
    } else if payload.starts_with(b"\x1f\x8b") {
        filter("gzip", &["-dcq"], payload)?
    } else {
        bail!("the kernel is packed in an unknown way");
    };
    if !kernel.starts_with(b"\x7fELF") {
        bail!("the kernel holds no ELF file");
    }
    Ok(kernel)
}

fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    // From a file: the program may write while it still reads, and two pipes would wait for each other.
    let mut source = tempfile::tempfile()?;
    std::io::Write::write_all(&mut source, input)?;
    std::io::Seek::rewind(&mut source)?;
    let out = Command::new(program)
        .args(arguments)
        .stdin(source)
        .output()
        .with_context(|| format!("start {program} (cargo xtask setup installs it)"))?;
    if !out.status.success() {
        bail!("{program} failed ({}): {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(out.stdout)
}

fn base_archive(folder: &Path) -> Result<Vec<u8>> {
    let busybox = shell::which("busybox").context("busybox is missing: cargo xtask setup installs it")?;
    let mut archive = Archive::default();
    for folder in ["/bin", "/modules", "/proc", "/sys", "/dev", "/host", "/ram", "/new"] {
        archive.folder(folder);
    }
    archive.file("/bin/busybox", &fs::read(busybox)?);
    let modules = Modules::read(folder)?;
    for path in modules.order(&[&ROOT_MODULES[..], &CARD_MODULES[..]].concat())? {
        let bytes = fs::read(folder.join(&path))?;
        let bytes = match Path::new(&path).extension().and_then(|end| end.to_str()) {
            Some("xz") => filter("xz", &["-dc"], &bytes)?,
            Some("zst") => filter("zstd", &["-dcq"], &bytes)?,
            _ => bytes,
        };
        archive.file(&format!("/modules/{}.ko", module_name(&path)), &bytes);
    }
    Ok(archive.finish())
}

/// `modules.dep` and `modules.builtin`.
struct Modules {
    /// Name -> path below the release's folder.
    paths: HashMap<String, String>,
    /// Path -> paths of all that have to be loaded before, the direct ones first.
    needs: HashMap<String, Vec<String>>,
    builtin: Vec<String>,
}

impl Modules {
    fn read(folder: &Path) -> Result<Modules> {
        let text = |name| fs::read_to_string(folder.join(name)).with_context(|| format!("read {name}"));
        Ok(Modules::parse(&text("modules.dep")?, &text("modules.builtin")?))
    }

    fn parse(dependencies: &str, builtin: &str) -> Modules {
        let lines = dependencies.lines().filter_map(|line| line.split_once(':'));
        let needs: HashMap<String, Vec<String>> = lines
            .map(|(path, rest)| (path.to_owned(), rest.split_whitespace().map(str::to_owned).collect()))
            .collect();
        let paths = needs.keys().map(|path| (module_name(path), path.clone())).collect();
        Modules { paths, needs, builtin: builtin.lines().map(module_name).collect() }
    }

    fn order(&self, names: &[&str]) -> Result<Vec<String>> {
        let mut order: Vec<String> = Vec::new();
        for name in names {
            let Some(path) = self.paths.get(*name) else {
                if self.builtin.iter().any(|builtin| builtin == name) {
                    continue;
                }
                bail!("the kernel has no module {name}: take a full package, not a cloud one");
            };
            let before = self.needs.get(path).into_iter().flatten().rev();
            for path in before.chain([path]) {
                if !order.contains(path) {
                    order.push(path.clone());
                }
            }
        }
        Ok(order)
    }
}

/// `kernel/net/9p/9pnet.ko.xz` -> `9pnet`; dashes and underscores are the same to the kernel.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn takes_the_newest_plain_kernel_of_the_series() {
        let list = packages(&[
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-57-rt-amd64",
            "linux-image-6.1.0-58-cloud-amd64",
            "linux-image-6.1.0-59-amd64-unsigned",
            "linux-image-6.12.117+deb12-amd64",
        ]);
        assert_eq!(newest(list.clone(), "6.1").unwrap(), "linux-image-6.1.0-56-amd64");
        assert_eq!(newest(list.clone(), "6.12").unwrap(), "linux-image-6.12.117+deb12-amd64");
        assert_eq!(newest(list.clone(), "linux-image-6.1.0-9-amd64").unwrap(), "linux-image-6.1.0-9-amd64");
        assert_eq!(newest(list, "6.11"), None);
    }

    #[test]
    fn loads_dependencies_first_and_each_module_once() {
        let modules = Modules::parse(
            "k/virtio_net.ko.xz: k/net_failover.ko.xz k/failover.ko.xz k/virtio.ko.xz\n\
             k/net_failover.ko.xz: k/failover.ko.xz\nk/failover.ko.xz:\nk/virtio.ko.xz:\n\
             k/virtio-pci.ko.xz: k/virtio.ko.xz\n",
            "kernel/fs/overlayfs/overlay.ko\n",
        );
        let order = modules.order(&["virtio_pci", "overlay", "virtio_net"]).unwrap();
        let names: Vec<_> = order.iter().map(|path| module_name(path)).collect();
        assert_eq!(names, ["virtio", "virtio_pci", "failover", "net_failover", "virtio_net"]);
        assert!(modules.order(&["9p"]).is_err());
    }

    #[test]
    fn refuses_what_is_no_kernel() {
        for image in [&b""[..], &[0; 64], &[0xff; 2048]] {
            assert!(decompress_kernel(image).is_err());
        }
    }
}
