//! Links a Rust static library that uses much of `core` and `alloc`, and runs it.

mod support;

use kiln_linker::{Addresses, Class, Plan, Request};
use std::path::Path;
use std::process::Command;
use support::{directory, input, run};

const PROGRAM: &str = r##"
#![no_std]
#![no_main]
extern crate alloc;
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec::Vec};
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

struct Bump;
struct Room(core::cell::UnsafeCell<[u8; 1 << 20]>);
// SAFETY: `NEXT` gives each allocation bytes of its own.
unsafe impl Sync for Room {}
static ROOM: Room = Room(core::cell::UnsafeCell::new([0; 1 << 20]));
static NEXT: AtomicUsize = AtomicUsize::new(0);
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size() + layout.align();
        let start = ROOM.0.get().cast::<u8>().wrapping_add(NEXT.fetch_add(size, Ordering::Relaxed));
        start.wrapping_add(start.align_offset(layout.align()))
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
#[global_allocator]
static HEAP: Bump = Bump;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { exit(120) }

fn exit(status: usize) -> ! {
    unsafe { core::arch::asm!("syscall", in("rax") 60, in("rdi") status, options(noreturn)) }
}

trait Shape { fn area(&self) -> f64; fn name(&self) -> String; }
struct Square(f64);
struct Circle(f64);
impl Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } fn name(&self) -> String { "square".into() } }
impl Shape for Circle { fn area(&self) -> f64 { self.0 * 3.0 } fn name(&self) -> String { format!("circle {}", self.0) } }

#[unsafe(no_mangle)]
extern "C" fn start_rust(seed: usize) -> ! {
    let shapes: Vec<Box<dyn Shape>> = alloc::vec![Box::new(Square(seed as f64)), Box::new(Circle(2.5))];
    let mut table = BTreeMap::new();
    for shape in &shapes { table.insert(shape.name(), shape.area()); }
    let text = format!("{table:?} {:>8x} {:?}", seed * 1000, "q\u{e9}\n".chars().rev().collect::<String>());
    if text != "{\"circle 2.5\": 7.5, \"square\": 9.0}      bb8 \"\\né" .to_owned_plus("q\"") { exit(1) }
    let parsed: Result<u128, _> = "340282366920938463463374607431768211455".parse();
    if parsed != Ok(u128::MAX) { exit(2) }
    let mut numbers: Vec<u32> = (0..500).map(|n| n * 7919 % 1009).collect();
    numbers.sort();
    if !numbers.is_sorted() { exit(3) }
    exit(77)
}
trait Plus { fn to_owned_plus(&self, more: &str) -> String; }
impl Plus for str { fn to_owned_plus(&self, more: &str) -> String { let mut s = String::from(self); s.push_str(more); s } }

core::arch::global_asm!(".globl _start", "_start:", "mov edi, 3", "and rsp, -16", "call start_rust");

#[unsafe(no_mangle)] unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    unsafe { core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _) }; to }
#[unsafe(no_mangle)] unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    unsafe { core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8) }; to }
#[unsafe(no_mangle)] unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize) < from as usize { return unsafe { memcpy(to, from, n) } }
    let mut i = n;
    while i > 0 { i -= 1; unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) } }
    to }
#[unsafe(no_mangle)] unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y { return x as i32 - y as i32 }
        i += 1;
    }
    0 }
#[unsafe(no_mangle)] unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 { unsafe { memcmp(a, b, n) } }
#[unsafe(no_mangle)] unsafe extern "C" fn strlen(a: *const u8) -> usize {
    let mut n = 0; while unsafe { a.add(n).read_volatile() } != 0 { n += 1 } n }
#[unsafe(no_mangle)] extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)] extern "C" fn _Unwind_Resume() {}
"##;

fn compile(directory: &Path, flags: &[&str]) -> Vec<u8> {
    let source = directory.join("program.rs");
    let library = directory.join("libprogram.a");
    std::fs::write(&source, PROGRAM).expect("write the source");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args([
            "--edition=2024",
            "--crate-type=staticlib",
            "-Cpanic=abort",
            "-o",
        ])
        .args([&library, &source])
        .args(flags)
        .output()
        .expect("run rustc");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(&library).expect("read the library")
}

#[test]
fn a_rust_library_runs_at_a_components_address() {
    let directory = directory("rust");
    for flags in [
        &["-Copt-level=2", "-Crelocation-model=pic"][..],
        &["-Copt-level=0"],
    ] {
        let library = compile(&directory, flags);
        let request = Request::new(
            "program",
            vec![input("libprogram.a", &library)],
            Some("_start"),
        );
        let plan = Plan::new(&request).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        let addresses = Addresses::sequential(0x6000_0000_0000, &plan.sizes()).expect("room");
        let linked = plan
            .place(addresses)
            .unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        assert_eq!(run(&directory, &linked), 77, "{flags:?}");
        let crates: Vec<&str> = linked
            .report
            .crates
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        for name in ["core", "alloc", "program"] {
            assert!(crates.contains(&name), "{name} in {crates:?}");
        }
        let text = linked
            .segment(Class::Text)
            .map_or(0, |text| text.memory_bytes);
        assert!(text < 400 << 10, "unreached code is left out: {text}");
    }
}
