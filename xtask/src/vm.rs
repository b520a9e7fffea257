//! `cargo xtask vm -- COMMAND`: a command as root under another kernel, in a virtual machine made for it alone.
//!
//! The guest sees the whole file system of this machine, read-only under an overlay in its memory: what is built here
//! runs there as it is, and nothing that it writes stays, except below folders given with `--writable`.

mod cpio;
mod guest;
mod image;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;

#[derive(Args, Clone, Default)]
pub struct Options {
    /// 6.1, 6.12, or the name of a Debian kernel package
    #[arg(long, default_value = "6.1")]
    pub kernel: String,
    /// A network card, `ether1`, `ether2` ... in the guest: MODEL[,hub=N]; cards of one hub share a segment.
    /// Models: virtio, e1000, e1000e, vmxnet3
    #[arg(long = "nic", value_name = "CARD")]
    pub nics: Vec<String>,
    /// A folder of this machine that the guest may write to
    #[arg(long = "writable", value_name = "FOLDER")]
    pub writable: Vec<PathBuf>,
    /// Kernel modules to load before the command
    #[arg(long, value_delimiter = ',')]
    pub modules: Vec<String>,
    /// Seconds for everything
    #[arg(long, default_value_t = 300)]
    pub timeout: u64,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048)]
    pub memory: u32,
    /// Only fetch and unpack the kernel
    #[arg(long)]
    pub prepare: bool,
    /// What to run
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Runs the command; gives its exit status. The guest's console comes with the error when the guest dies.
pub fn run(options: &Options) -> Result<u8> {
    crate::setup::programs(crate::setup::Purpose::Test)?;
    let image = image::prepare(&options.kernel)?;
    if options.prepare {
        println!("{} in {}", image.release, image.folder.display());
        return Ok(0);
    }
    if options.command.is_empty() {
        bail!("say what to run: cargo xtask vm -- COMMAND");
    }
    let exchange = tempfile::tempdir().context("make a folder to talk to the guest")?;
    let cards = cards(&options.nics)?;
    guest::write(exchange.path(), options, &cards)?;
    let console = exchange.path().join("console");
    let status = boot(options, &image, exchange.path(), &console, &cards);
    let code = fs::read_to_string(exchange.path().join("status")).unwrap_or_default();
    match (status, code.trim().parse::<u8>()) {
        (Ok(()), Ok(code)) => Ok(code),
        (Err(error), _) => {
            let said = fs::read_to_string(exchange.path().join("qemu")).unwrap_or_default();
            bail!("{error:#}\n{said}\nthe end of its console:\n{}", tail(&console))
        }
        (Ok(()), Err(_)) => bail!("the guest died; the end of its console:\n{}", tail(&console)),
    }
}

struct Card {
    model: String,
    hub: u32,
    mac: String,
    name: String,
}

fn cards(specifications: &[String]) -> Result<Vec<Card>> {
    let mut cards = Vec::new();
    for (index, text) in specifications.iter().enumerate() {
        let mut parts = text.split(',');
        let model = match parts.next() {
            Some("virtio") => "virtio-net-pci",
            Some(model @ ("e1000" | "e1000e" | "vmxnet3")) => model,
            other => bail!("no card model {}", other.unwrap_or_default()),
        };
        let mut hub = 100 + u32::try_from(index)?;
        for part in parts {
            match part.split_once('=') {
                Some(("hub", number)) => hub = number.parse().with_context(|| format!("hub of {text}"))?,
                _ => bail!("unknown option {part} of the card {text}"),
            }
        }
        cards.push(Card {
            model: model.to_owned(),
            hub,
            mac: format!("52:54:00:12:34:{:02x}", index + 1),
            name: format!("ether{}", index + 1),
        });
    }
    Ok(cards)
}

fn boot(
    options: &Options,
    image: &image::Image,
    exchange: &Path,
    console: &Path,
    cards: &[Card],
) -> Result<()> {
    let output = exchange.join("output");
    fs::write(&output, "")?;
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    // One thread for all processors: with one each, a guest kernel that patches its own code may die.
    qemu.args(["-accel", "tcg,thread=single,tb-size=512", "-cpu", "max", "-smp", "2"]);
    qemu.args(["-m", &options.memory.to_string()]);
    qemu.arg("-kernel").arg(image.folder.join("kernel")).arg("-initrd").arg(image.folder.join("initramfs"));
    qemu.args([
        "-append",
        "console=ttyS0 loglevel=4 panic=-1 mitigations=off net.ifnames=0 tsc=reliable nokaslr",
    ]);
    qemu.args([
        "-chardev",
        &format!("file,id=console,path={}", console.display()),
        "-serial",
        "chardev:console",
    ]);
    share(&mut qemu, "host", Path::new("/"), true);
    share(&mut qemu, "kernel", &image.folder, true);
    share(&mut qemu, "exchange", exchange, false);
    for (index, folder) in options.writable.iter().enumerate() {
        share(&mut qemu, &format!("rw{index}"), folder, false);
    }
    qemu.args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=output,name=output"]);
    qemu.args(["-chardev", &format!("file,id=output,append=on,path={}", output.display())]);
    qemu.args(["-device", "virtio-rng-pci"]);
    for card in cards {
        let Card { model, hub, mac, name } = card;
        qemu.args(["-netdev", &format!("hubport,id={name},hubid={hub}")]);
        qemu.args(["-device", &format!("{model},netdev={name},mac={mac},romfile=")]);
    }
    qemu.stdin(Stdio::null()).stdout(Stdio::null());
    // It warns of every segment that does not leave the guest, which none does; what counts comes with an error.
    qemu.stderr(fs::File::create(exchange.join("qemu"))?);
    let mut machine = qemu.spawn().context("start qemu-system-x86_64")?;
    let deadline = Instant::now() + Duration::from_secs(options.timeout);
    let mut shown = Follow { file: output, at: 0 };
    loop {
        let ended = machine.try_wait()?;
        shown.show()?;
        if let Some(status) = ended {
            return if status.success() { Ok(()) } else { bail!("qemu-system-x86_64 ended with {status}") };
        }
        if Instant::now() > deadline {
            machine.kill()?;
            machine.wait()?;
            bail!("the virtual machine was not done after {} s", options.timeout);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn share(qemu: &mut Command, tag: &str, folder: &Path, readonly: bool) {
    let more = if readonly { ",readonly=on" } else { "" };
    let folder = folder.display();
    qemu.args(["-fsdev", &format!("local,id={tag},path={folder},security_model=none,multidevs=remap{more}")]);
    qemu.args(["-device", &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}")]);
}

/// Copies what is added to a file to standard output.
struct Follow {
    file: PathBuf,
    at: u64,
}

impl Follow {
    fn show(&mut self) -> Result<()> {
        use std::io::{Read, Seek, SeekFrom, Write};
        let mut file = fs::File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut more = Vec::new();
        file.read_to_end(&mut more)?;
        self.at += more.len() as u64;
        let mut out = std::io::stdout().lock();
        out.write_all(&more)?;
        out.flush()?;
        Ok(())
    }
}

fn tail(console: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
