//! The least image on every machine, by every protocol, with few and many processors.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use kiln_tests::compile::{self, Linkage};
use kiln_tests::image::{Written, least_manifest};
use kiln_tests::machine::Machine;

use crate::Tests;

const HELLO: &str = "Hello, world\n";

/// An image of a static hello, made once.
pub fn hello() -> Result<&'static Path, String> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| manifest()?.build());
    image.as_deref().map_err(Clone::clone)
}

fn manifest() -> Result<Written, String> {
    let binary = compile::c("hello", Linkage::Static)?;
    Written::new("hello", &least_manifest("hello", &binary))
}

/// A copy of the image without the multiboot header, so that QEMU goes by the PVH note.
pub fn by_pvh() -> Result<&'static Path, String> {
    const MAGIC: [u8; 4] = 0x1bad_b002_u32.to_le_bytes();
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let path = hello()?;
        let mut bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        let header = bytes.get_mut(..8192).ok_or("the image is too short")?;
        let at = header
            .windows(4)
            .position(|word| word == MAGIC)
            .ok_or("no multiboot header")?;
        header
            .iter_mut()
            .skip(at)
            .take(4)
            .for_each(|byte| *byte = 0);
        let path = path.with_extension("pvh.elf");
        std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
        Ok(path)
    });
    image.as_deref().map_err(Clone::clone)
}

/// A CD image of hello.
pub fn disc() -> Result<&'static Path, String> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| manifest()?.export_iso());
    image.as_deref().map_err(Clone::clone)
}

/// QEMU options that give the machine UEFI instead of a BIOS.
fn uefi() -> Result<String, String> {
    if Path::new("/usr/share/ovmf/OVMF.fd").exists() {
        return Ok("-bios /usr/share/ovmf/OVMF.fd".to_owned());
    }
    ["OVMF_CODE_4M.fd", "OVMF_CODE.fd"]
        .iter()
        .map(|name| format!("/usr/share/OVMF/{name}"))
        .find(|path| Path::new(path).exists())
        .map(|path| format!("-drive if=pflash,format=raw,readonly=on,file={path}"))
        .ok_or_else(|| "no UEFI firmware: install the package ovmf".to_owned())
}

fn boots(machine: &Machine) -> Result<(), String> {
    machine.run()?.expect(HELLO, 0)
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for model in ["microvm", "q35", "pc"] {
        for processors in [1, 4] {
            for (protocol, image) in [("multiboot1", hello as fn() -> _), ("pvh", by_pvh)] {
                tests.add(
                    format!("boot::{model}::{protocol}::{processors}_processors"),
                    move || {
                        let options = format!("-cpu max -m 64M -smp {processors}");
                        boots(&Machine::new(model).with(&options).kernel(image()?))
                    },
                );
            }
        }
    }
    tests.add("boot::eight_processors", || {
        boots(
            &Machine::new("q35")
                .with("-cpu max -m 64M -smp 8")
                .kernel(hello()?),
        )
    });
    for model in ["microvm", "q35"] {
        tests.add(format!("boot::{model}::least_processor"), move || {
            boots(
                &Machine::new(model)
                    .with("-cpu qemu64 -m 64M")
                    .kernel(hello()?),
            )
        });
    }
    tests.add("boot::microvm::without_acpi", || {
        boots(
            &Machine::new("microvm,acpi=off")
                .with("-cpu max -m 64M -smp 2")
                .kernel(hello()?),
        )
    });
    tests.add("boot::microvm::six_megabytes", || {
        boots(
            &Machine::new("microvm")
                .with("-cpu max -m 6M")
                .kernel(hello()?),
        )
    });
    tests.add("boot::q35::much_memory", || {
        boots(&Machine::new("q35").with("-cpu max -m 6G").kernel(hello()?))
    });
    for (name, model, processors) in [
        ("grub_bios", "pc", 1),
        ("grub_bios_q35", "q35", 1),
        ("grub_bios_4_processors", "q35", 4),
    ] {
        tests.add(format!("boot::{name}"), move || {
            let disc = disc()?.to_string_lossy();
            let options = format!("-cpu max -m 128M -boot d -smp {processors}");
            boots(&Machine::new(model).with(&options).option("-cdrom", &disc))
        });
    }
    for processors in [1, 4] {
        tests.add(
            format!("boot::grub_uefi::{processors}_processors"),
            move || {
                let disc = disc()?.to_string_lossy();
                let options = format!("-cpu max -m 256M -boot d -smp {processors} {}", uefi()?);
                let machine = Machine::new("q35").with(&options).option("-cdrom", &disc);
                boots(&machine.limit(Duration::from_secs(120)))
            },
        );
    }
}
