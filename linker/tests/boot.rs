//! Boots composed images in QEMU by every protocol that their headers offer.
//!
//! The kernel is a few instructions: it says by which entry it came, checks that the image's data
//! are where they should be, and ends the machine.

mod support;

use kiln_linker::format::{ImageTable, Kind, SymbolTable, VIRTUAL_BASE};
use kiln_linker::{ComponentInput, Composer, Error, Request, debug_elf, inspect};
use std::path::Path;
use std::process::Command;
use support::{compile, directory, input};

const KERNEL: &str = r#"
#define PHYSICAL(symbol) ((symbol) - 0xffffffff80000000)
    .section .kiln.boot, "ax"
    .code32
    .globl pvh_entry, multiboot1_entry, multiboot2_entry
pvh_entry:          movb $'p', %bl ; jmp begin
multiboot1_entry:   movb $'1', %bl
    cmpl $0x2badb002, %eax ; jne fail
    jmp begin
multiboot2_entry:   movb $'2', %bl
    cmpl $0x36d76289, %eax ; jne fail
begin:
    movw $0x3f8, %dx
    movb %bl, %al ; outb %al, %dx
    movl $PHYSICAL(KILN_IMAGE_LOCATION), %esi
    cmpl $0x4e4c494b, (%esi) ; jne fail             /* "KILN" */
    cmpl $0x31474d49, 4(%esi) ; jne fail            /* "IMG1" */
    movl 8(%esi), %edi
    addl $PHYSICAL(__image_start), %edi
    cmpl $0x4e4c494b, (%edi) ; jne fail             /* the table, "KILNTABL" */
    cmpl $0x12345678, PHYSICAL(initialised) ; jne fail
    movl $PHYSICAL(__bss_start), %edi
    movl $PHYSICAL(__bss_end), %ecx
    subl %edi, %ecx
    jz fail
1:  cmpb $0, (%edi) ; jne fail
    incl %edi ; decl %ecx ; jnz 1b
    movl $PHYSICAL(message), %esi
2:  movb (%esi), %al
    testb %al, %al ; jz 3f
    outb %al, %dx
    incl %esi ; jmp 2b
3:  movl $0x10, %eax
    outl %eax, $0xf4
fail: movl $0x11, %eax
    outl %eax, $0xf4
    hlt
    .section .rodata.message, "a"
message: .asciz "ok"
    .section .data.initialised, "aw"
initialised: .long 0x12345678
    .section .bss.room, "aw", @nobits
room: .skip 70000
    .section .bss.location, "aw", @nobits
    .globl KILN_IMAGE_LOCATION
KILN_IMAGE_LOCATION: .skip 32
    .section .kiln.keep.reference, "a"
    .quad room
"#;

const SERVER: &str = "int state = 4; int zeros[3000];
    int _start(void) { return state + zeros[17]; }";

fn compose(directory: &Path, root: &[u8]) -> Vec<u8> {
    let kernel = compile(directory, "kernel.S", KERNEL, &[]);
    let server = compile(directory, "server.c", SERVER, &["-O1", "-fPIC"]);
    let mut request = Request::new("kernel", vec![input("kernel.o", &kernel)], None);
    request.first = vec![".kiln.boot".to_owned()];
    let server = Request::new("server", vec![input("server.o", &server)], Some("_start"));
    let image = Composer::new(request)
        .component(ComponentInput {
            kind: Kind::Server,
            request: server,
        })
        .root(root)
        .config(b"configuration")
        .compose()
        .unwrap_or_else(|error| panic!("{error}"));
    let bytes = image.to_bytes();
    assert_eq!(bytes.len() as u64, image.file_bytes());
    std::fs::write(
        directory.join("kernel.debug"),
        debug_elf(&image.components[0].linked),
    )
    .expect("write the symbol file");
    bytes
}

/// Runs QEMU; gives the letters that the kernel wrote.
fn boot(arguments: &[&str]) -> String {
    let output = Command::new("timeout")
        .args([
            "60",
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-nodefaults",
            "-no-user-config",
        ])
        .args([
            "-display",
            "none",
            "-no-reboot",
            "-m",
            "64M",
            "-serial",
            "stdio",
        ])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .args(arguments)
        .output()
        .expect("run QEMU");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0x21),
        "said {said:?}; {complaints}"
    );
    said
}

fn in_file(directory: &Path, name: &str, image: &[u8]) -> String {
    let path = directory.join(name);
    std::fs::write(&path, image).expect("write the image");
    path.into_os_string()
        .into_string()
        .expect("a path in UTF-8")
}

#[test]
fn boots_by_multiboot_1_and_by_pvh() {
    let directory = directory("boot");
    let mut image = compose(&directory, &[0x5a; 10_000]);
    let path = in_file(&directory, "image.elf", &image);
    assert_eq!(boot(&["-M", "q35", "-kernel", &path]), "1ok");
    assert_eq!(boot(&["-M", "microvm", "-kernel", &path]), "1ok");
    // Without the multiboot header QEMU goes by the note.
    let magic = 0x1bad_b002_u32.to_le_bytes();
    let at = image
        .windows(4)
        .position(|bytes| bytes == magic)
        .expect("a multiboot header");
    image[at..at + 4].fill(0);
    let path = in_file(&directory, "image-without-multiboot.elf", &image);
    assert_eq!(boot(&["-M", "pc", "-kernel", &path]), "pok");
    assert_eq!(boot(&["-M", "microvm", "-kernel", &path]), "pok");
}

#[test]
fn boots_by_multiboot_2_from_grub() {
    let directory = directory("grub");
    let image = compose(&directory, &[0x5a; 10_000]);
    let tree = directory.join("tree");
    std::fs::create_dir_all(tree.join("boot/grub")).expect("make the tree");
    std::fs::write(tree.join("image.elf"), image).expect("write the image");
    let configuration = "set timeout=0\nmenuentry k { multiboot2 /image.elf\n boot\n }\n";
    std::fs::write(tree.join("boot/grub/grub.cfg"), configuration).expect("write grub.cfg");
    let disc = directory.join("disc.iso");
    let made = Command::new("grub-mkrescue")
        .arg("-o")
        .args([&disc, &tree])
        .output();
    let made = made.expect("run grub-mkrescue");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let disc = disc.to_str().expect("a path in UTF-8");
    let said = boot(&["-M", "pc", "-boot", "d", "-cdrom", disc]);
    assert!(said.ends_with("2ok"), "{said}");
}

#[test]
fn an_image_says_what_is_in_it() {
    let directory = directory("inspect");
    let root = vec![0x5a; 10_000];
    let image = compose(&directory, &root);
    assert_eq!(
        image,
        compose(&directory, &root),
        "the same inputs give the same bytes"
    );
    let found = inspect(&image).expect("inspect");
    let names: Vec<&str> = found.components.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["kernel", "server", "root", "config", "symbols"]);
    let content = |index: usize| found.components[index].segments[0].bytes(&image);
    assert_eq!(content(2), Some(&root[..]));
    assert_eq!(content(3), Some(&b"configuration"[..]));
    assert_eq!(found.components[2].segments[0].image_offset % 4096, 0);
    let server = &found.components[1];
    assert_eq!(server.entry, 0x6000_0000_0000);
    assert_eq!(server.segments.len(), 3, "text, data, bss");
    assert_eq!(server.segments[2].file_bytes, 0);
    assert!(found.symbols > 0);
    let symbols = SymbolTable::parse(content(4).expect("symbols")).expect("a symbol table");
    assert_eq!(
        symbols.symbolise(VIRTUAL_BASE + 0x1001),
        Some(("pvh_entry", 1))
    );
    assert_eq!(symbols.symbolise(0xffff_ffff_8000_0000), None);

    for length in [0, 63, 4095, 4096, image.len() - 1] {
        assert!(
            matches!(inspect(&image[..length]), Err(Error::NotAnImage(_))),
            "{length}"
        );
    }
    let location = image.len();
    let table = image
        .windows(8)
        .position(|bytes| bytes == b"KILNTABL")
        .expect("a table");
    let mut damaged = image.clone();
    damaged[table + 12] = 0xff;
    assert!(matches!(inspect(&damaged), Err(Error::Table(_))));
    assert!(ImageTable::parse(&image[table..location]).is_ok());
}

#[test]
fn a_kernel_without_its_entry_points_is_refused() {
    let directory = directory("refused-kernel");
    let kernel = compile(
        &directory,
        "kernel.S",
        ".globl pvh_entry\npvh_entry: ret\n",
        &[],
    );
    let request = Request::new("kernel", vec![input("kernel.o", &kernel)], None);
    let error = Composer::new(request)
        .compose()
        .map(|_| ())
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("`multiboot1_entry`, a root of the link"),
        "{error}"
    );
}
