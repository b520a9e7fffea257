//! The machine: processors, memory, shared folders, cards.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use anyhow::{Context, Result, bail};

use super::OUTPUTS;
use crate::shell;

/// A card: `virtio[,hub=N][,tap=IF[,queues=N]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Cards of one hub are on one segment; a card without has its own.
    hub: Option<u32>,
    /// An interface of the host.
    tap: Option<String>,
    queues: u32,
}

impl FromStr for Card {
    type Err = String;

    fn from_str(text: &str) -> Result<Card, String> {
        let mut words = text.split(',');
        if words.next() != Some("virtio") {
            return Err("the one model is virtio: virtio[,hub=N][,tap=IF[,queues=N]]".into());
        }
        let options: BTreeMap<&str, &str> = words
            .map(|word| word.split_once('=').ok_or(format!("{word} has no value")))
            .collect::<Result<_, _>>()?;
        let mut card = Card { hub: None, tap: None, queues: 1 };
        for (name, value) in options {
            let number = || value.parse::<u32>().map_err(|_| format!("{name} takes a number, not {value}"));
            match name {
                "hub" => card.hub = Some(number()?),
                "queues" => card.queues = number()?.max(1),
                "tap" => card.tap = Some(value.to_owned()),
                _ => return Err(format!("a card has hub, tap and queues, no {name}")),
            }
        }
        if card.tap.is_some() && card.hub.is_some() {
            return Err("a card is on a hub or on a tap".into());
        }
        if card.queues > 1 && card.tap.is_none() {
            return Err(
                "several queues need a tap interface of the host (ip tuntap add IF mode tap multi_queue)"
                    .into(),
            );
        }
        Ok(card)
    }
}

impl Card {
    pub fn on_hub(hub: u32) -> Card {
        Card { hub: Some(hub), tap: None, queues: 1 }
    }

    /// Locally administered, so never a real one's.
    pub fn mac(index: usize) -> String {
        format!("52:54:00:72:64:{:02x}", index + 1)
    }

    fn arguments(&self, index: usize) -> [String; 4] {
        let mut backend = match &self.tap {
            Some(name) => format!("tap,id=net{index},ifname={name},script=no,downscript=no"),
            None => format!("hubport,id=net{index},hubid={}", self.hub.unwrap_or(1000 + index as u32)),
        };
        // virtio_net refuses native XDP while the host may send it merged or unchecked packets:
        // drivers/net/virtio_net.c, virtnet_xdp_set.
        let mut device = format!(
            "virtio-net-pci,netdev=net{index},mac={},romfile=,guest_tso4=off,guest_tso6=off,guest_ecn=off,\
             guest_ufo=off,guest_csum=off",
            Card::mac(index)
        );
        if self.queues > 1 {
            backend += &format!(",queues={}", self.queues);
            device += &format!(",mq=on,vectors={}", 2 * self.queues + 2);
        }
        ["-netdev".into(), backend, "-device".into(), device]
    }
}

pub struct Machine<'m> {
    pub kernel: &'m Path,
    pub initrd: &'m Path,
    pub memory_mb: u32,
    pub cards: &'m [Card],
    /// 9p tag and folder.
    pub writable: &'m [(String, String)],
    pub console: PathBuf,
    /// Where the exit status of the command arrives.
    pub status: PathBuf,
}

impl Machine<'_> {
    /// The emulator's command line. Its standard output and standard error, which have to be pipes, are the
    /// guest's.
    pub fn command(&self) -> Result<Command> {
        let program = shell::which("qemu-system-x86_64")
            .context("qemu-system-x86_64 is missing: cargo xtask setup installs it")?;
        let plain = |path: &Path| -> Result<String> {
            match path.to_str() {
                // A comma would end the option's value.
                Some(text) if !text.contains(',') => Ok(text.to_owned()),
                _ => bail!("{} can't be given to qemu: no commas, please", path.display()),
            }
        };
        let mut qemu = Command::new(program);
        qemu.args(["-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // One thread for all processors: with a thread each a guest that patches its own code has died.
        qemu.args(["-accel", "tcg,thread=single,tb-size=512", "-cpu", "max", "-smp", "2"]);
        qemu.args(["-m", &self.memory_mb.to_string()]);
        qemu.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.initrd);
        qemu.args([
            "-append",
            "console=ttyS0 loglevel=5 panic=-1 mitigations=off tsc=reliable nokaslr net.ifnames=0 \
             random.trust_cpu=on",
        ]);
        qemu.args(["-chardev", &format!("file,id=console,path={}", plain(&self.console)?)]);
        qemu.args([
            "-serial",
            "chardev:console",
            "-device",
            "virtio-rng-pci",
            "-device",
            "virtio-serial-pci",
        ]);
        let outputs = [
            "file,id=output,path=/proc/self/fd/1,append=on".to_owned(),
            "file,id=errors,path=/proc/self/fd/2,append=on".to_owned(),
            format!("file,id=status,path={}", plain(&self.status)?),
        ];
        for (number, (backend, name)) in outputs.iter().zip(OUTPUTS).enumerate() {
            let id = backend.split([',', '=']).nth(2).unwrap_or_default();
            qemu.args(["-chardev", backend, "-device"]);
            qemu.arg(format!("virtserialport,chardev={id},name={name},nr={}", number + 1));
        }
        share(&mut qemu, "root", "/", ",readonly=on");
        for (tag, folder) in self.writable {
            share(&mut qemu, tag, &plain(Path::new(folder))?, "");
        }
        for (index, card) in self.cards.iter().enumerate() {
            qemu.args(card.arguments(index));
        }
        Ok(qemu)
    }
}

fn share(qemu: &mut Command, tag: &str, folder: &str, more: &str) {
    qemu.arg("-fsdev").arg(format!("local,id={tag},path={folder},security_model=none,multidevs=remap{more}"));
    qemu.arg("-device").arg(format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cards() {
        let card = |text: &str| text.parse::<Card>();
        assert_eq!(card("virtio"), Ok(Card { hub: None, tap: None, queues: 1 }));
        assert_eq!(card("virtio,hub=2"), Ok(Card { hub: Some(2), tap: None, queues: 1 }));
        let tap = Card { hub: None, tap: Some("tap0".into()), queues: 6 };
        assert_eq!(card("virtio,queues=6,tap=tap0"), Ok(tap));
        for wrong in
            ["e1000", "virtio,hub", "virtio,hub=x", "virtio,queues=2", "virtio,hub=1,tap=t", "virtio,speed=1"]
        {
            assert!(card(wrong).is_err(), "{wrong}");
        }
    }
}
