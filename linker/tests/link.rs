//! Links C objects, runs the result as a Linux program, and checks what is kept and refused.

mod support;

use kiln_linker::{Addresses, Class, Error, Linked, Permissions, Plan, Request, debug_elf};
use support::{archive, compile, directory, input, run};

const BASE: u64 = 0x1000_0000;

fn link(request: &Request<'_>) -> Result<Linked, Error> {
    let plan = Plan::new(request)?;
    let addresses = Addresses::sequential(BASE, &plan.sizes()).expect("addresses");
    plan.place(addresses)
}

const START: &str = r#"
static void finish(long status) {
    __asm__ volatile("syscall" :: "a"(60L), "D"(status));
    __builtin_unreachable();
}
"#;

/// Every way in which code and data refer to each other; a wrong one gives its own status.
const EVERYTHING: &str = r#"
extern int table_sum(int);
extern const char *name_of(int);
extern int counter, zeros[1000];
extern int (*const operations[3])(int, int);
extern void absent(void) __attribute__((weak));
extern int absent_datum __attribute__((weak));
extern int chosen(void);
extern const int __start_numbers[], __stop_numbers[];
extern const int __start_nothing[], __stop_nothing[];
extern char __text_start[], __text_end[], __data_start[], __bss_start[], __bss_end[];
static int same(const char *a, const char *b) { while (*a && *a == *b) a++, b++; return *a == *b; }
int (*volatile called)(int) = table_sum;
int choose(int n) {
    switch (n) { case 0: return 3; case 1: return 14; case 2: return 15; case 3: return 92;
                 case 4: return 65; case 5: return 35; case 6: return 89; default: return 79; }
}
int tail(int n) { return table_sum(n); }
int (*volatile choosing)(int) = choose;
void _start(void) {
    if (called(3) != 60) finish(1);
    if (!same(name_of(2), "two")) finish(2);
    if (counter != 42) finish(3);
    for (int i = 0; i < 1000; i++) if (zeros[i]) finish(4);
    zeros[999] = 5;
    if (operations[0](7, 5) != 12 || operations[1](7, 5) != 2 || operations[2](7, 5) != 35) finish(5);
    if (absent || &absent_datum) finish(6);
    if (chosen() != 2) finish(7);
    int sum = 0;
    for (const int *n = __start_numbers; n < __stop_numbers; n++) sum = sum * 10 + *n;
    if (sum != 123 && sum != 132 && sum != 213 && sum != 231 && sum != 312 && sum != 321) finish(8);
    if (__start_nothing != __stop_nothing) finish(9);
    if ((char *)_start < __text_start || (char *)_start >= __text_end) finish(10);
    if ((char *)zeros < __bss_start || (char *)(zeros + 1000) > __bss_end) finish(11);
    if ((char *)&counter < __data_start) finish(12);
    if (choosing(0) != 3 || choosing(4) != 65 || choosing(9) != 79) finish(13);
    if (tail(1) != 10) finish(14);
    finish(99);
}
"#;

const LIBRARY: &str = r#"
int counter = 42;
int zeros[1000];
static const int values[] = {10, 20, 30, 40};
int table_sum(int n) { int s = 0; for (int i = 0; i < n; i++) s += values[i]; return s; }
static const char *const names[] = {"zero", "one", "two"};
const char *name_of(int n) { return names[n]; }
static int add(int a, int b) { return a + b; }
static int subtract(int a, int b) { return a - b; }
static int multiply(int a, int b) { return a * b; }
int (*const operations[3])(int, int) = {add, subtract, multiply};
__attribute__((weak)) int chosen(void) { return 1; }
int number_1 __attribute__((section("numbers"), used)) = 1;
int number_2 __attribute__((section("numbers"), used)) = 2;
int number_3 __attribute__((section("numbers"), used)) = 3;
int unlisted __attribute__((section("nothing"), used)) = 3;
"#;

const STRONG: &str = "int chosen(void) { return 2; }";

#[test]
fn a_linked_program_runs_however_it_was_compiled() {
    let directory = directory("runs");
    let main = format!("{START}{EVERYTHING}");
    for flags in [
        &["-O0", "-fPIC"][..],
        &["-O2", "-fPIC"],
        &["-O2", "-fPIC", "-fno-plt"],
        &["-O2", "-fpie", "-fno-plt", "-Wa,-mrelax-relocations=no"],
        &["-O2", "-fno-pic", "-mcmodel=medium"],
        &["-O1", "-fno-pic"],
        &["-Os", "-fno-pic", "-fno-jump-tables"],
    ] {
        let main = compile(&directory, "main.c", &main, flags);
        let library = compile(&directory, "library.c", LIBRARY, flags);
        let strong = compile(&directory, "strong.c", STRONG, flags);
        let inputs = vec![
            input("main.o", &main),
            input("library.o", &library),
            input("strong.o", &strong),
        ];
        let mut request = Request::new("program", inputs, Some("_start"));
        request.roots = ["number_1", "number_2", "number_3"]
            .map(str::to_owned)
            .to_vec();
        let linked = link(&request).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        assert_eq!(run(&directory, &linked), 99, "{flags:?}");
        if flags.contains(&"-fPIC") {
            let plan = Plan::new(&request).expect("plan");
            let addresses = Addresses::sequential(0x6000_0000_0000, &plan.sizes()).expect("room");
            let far = plan.place(addresses).expect("place");
            assert_eq!(run(&directory, &far), 99, "{flags:?} far up");
        }
        let again = link(&request).expect("link again");
        assert_eq!(
            linked.segments, again.segments,
            "the same inputs give the same bytes"
        );
        for segment in &linked.segments {
            assert_eq!(segment.virtual_address % 4096, 0);
            assert_eq!(segment.permissions, segment.class.permissions());
        }
        let names = linked.symbol("name_of").expect("a kept function");
        assert_eq!(names.class.permissions(), Permissions::ReadExecute);
    }
}

#[test]
fn only_what_is_reached_is_kept() {
    let directory = directory("reach");
    let main = format!("{START} int used(void); void _start(void) {{ finish(used()); }}");
    let main = compile(&directory, "main.c", &main, &["-O1"]);
    let library = "int used(void) { return 7; } int unused(void) { return 8; } int spare[9] = {1};
        __attribute__((section(\".kiln.keep.note\"))) const int note = 1;";
    let library = compile(&directory, "library.c", library, &["-O1"]);
    let request = Request::new(
        "p",
        vec![input("m.o", &main), input("l.o", &library)],
        Some("_start"),
    );
    let linked = link(&request).expect("link");
    assert_eq!(run(&directory, &linked), 7);
    assert!(linked.symbol("used").is_some());
    assert!(linked.symbol("unused").is_none());
    assert!(linked.symbol("note").is_some());
    assert!(
        linked.segment(Class::Data).is_none(),
        "the spare array is gone"
    );
}

#[test]
fn archive_members_are_taken_in_only_when_needed() {
    let directory = directory("archive");
    let main = "int used(void); __attribute__((weak)) int optional(void); int unused(void);
        void unreached(void) { unused(); }
        void _start(void) { finish(optional ? 1 : used()); }";
    let main = compile(&directory, "main.c", &format!("{START}{main}"), &["-O1"]);
    let used = compile(
        &directory,
        "used.c",
        "int used(void) { return 9; }",
        &["-O1"],
    );
    // Neither could be linked: the first is a duplicate, the second lacks a symbol.
    let duplicate = "int used(void) { return 0; } int optional(void) { return 0; }";
    let duplicate = compile(&directory, "duplicate.c", duplicate, &["-O1"]);
    let broken = "int missing(void); int unused(void) { return missing(); }";
    let broken = compile(&directory, "broken.c", broken, &["-O1"]);
    let members: [(&str, &[u8]); 3] = [
        ("used.o", &used),
        ("duplicate.o", &duplicate),
        ("broken.o", &broken),
    ];
    let library = archive(&directory, "library.a", &members);
    let inputs = vec![input("main.o", &main), input("library.a", &library)];
    let linked = link(&Request::new("p", inputs, Some("_start"))).expect("link");
    assert_eq!(run(&directory, &linked), 9);
    assert_eq!(linked.report.objects, 2);
    // The same without an index in the archive.
    let library = without_index(&library);
    let inputs = vec![input("main.o", &main), input("library.a", &library)];
    let linked = link(&Request::new("p", inputs, Some("_start"))).expect("link");
    assert_eq!(linked.report.objects, 2);
}

/// Drops an archive's first member, which is its index.
fn without_index(archive: &[u8]) -> Vec<u8> {
    let size = std::str::from_utf8(&archive[56..66])
        .expect("a header")
        .trim();
    let size: usize = size.parse().expect("a size");
    let rest = &archive[68 + size.next_multiple_of(2)..];
    [&archive[..8], rest].concat()
}

#[test]
fn a_list_has_the_members_that_are_named() {
    let directory = directory("list");
    let main = "extern const int __start_drivers[], __stop_drivers[];
        void _start(void) { int sum = 0;
            for (const int *n = __start_drivers; n < __stop_drivers; n++) sum = sum * 10 + *n;
            finish(sum); }";
    let main = compile(&directory, "main.c", &format!("{START}{main}"), &["-O1"]);
    let members = "#define DRIVER(NAME, VALUE) __attribute__((section(\"drivers.\" #NAME))) \
        const int NAME = VALUE;
        DRIVER(serial, 1) DRIVER(serial_fast, 2) DRIVER(random, 3)";
    let members = compile(&directory, "members.c", members, &["-O1"]);
    let library = archive(&directory, "drivers.a", &[("members.o", &members)]);
    let sum = |keep: &[&str]| {
        let inputs = vec![input("main.o", &main), input("drivers.a", &library)];
        let mut request = Request::new("p", inputs, Some("_start"));
        request.keep = keep.iter().map(|name| format!("drivers.{name}")).collect();
        link(&request).map(|linked| run(&directory, &linked))
    };
    assert_eq!(sum(&[]), Ok(0));
    assert_eq!(sum(&["serial"]), Ok(1));
    assert_eq!(sum(&["serial", "random"]), Ok(31), "by name");
    let error = sum(&["printer"]).expect_err("there is none").to_string();
    assert_eq!(error, "p: no input has a section `drivers.printer`");
}

#[test]
fn undefined_symbols_are_all_named_with_their_users() {
    let directory = directory("undefined");
    let main = "int missing_one(void); extern int missing_two;
        void _start(void) { missing_one(); missing_two = 1; }";
    let main = compile(&directory, "main.c", main, &["-O1"]);
    let error = link(&Request::new(
        "server",
        vec![input("main.o", &main)],
        Some("_start"),
    ));
    let text = error.expect_err("cannot link").to_string();
    assert_eq!(
        text,
        "server: undefined `missing_one`, referred to by `_start` in main.o; \
         `missing_two`, referred to by `_start` in main.o"
    );
    let error = link(&Request::new(
        "server",
        vec![input("main.o", &main)],
        Some("begin"),
    ));
    let text = error.expect_err("cannot link").to_string();
    assert_eq!(text, "server: undefined `begin`, a root of the link");
}

#[test]
fn what_a_component_cannot_have_is_refused() {
    let directory = directory("refused");
    let refuse = |name: &str, source: &str, flags: &[&str]| {
        let object = compile(&directory, name, source, flags);
        link(&Request::new(
            "p",
            vec![input("a.o", &object)],
            Some("_start"),
        ))
        .expect_err("cannot link")
    };
    let error = refuse(
        "t.c",
        "__thread int state; int _start(void) { return state; }",
        &["-O1"],
    );
    assert!(matches!(error, Error::ThreadLocal { .. }), "{error}");
    let source = "__attribute__((constructor)) void early(void) { *(volatile int *)16 = 1; } void _start(void) {}";
    let error = refuse("c.c", source, &["-O1"]);
    assert!(matches!(error, Error::Constructors { .. }), "{error}");
    let error = refuse(
        "m.c",
        "int shared; int _start(void) { return shared; }",
        &["-fcommon"],
    );
    assert!(matches!(error, Error::CommonSymbol { .. }), "{error}");
    let source = "static void *pick(void) { return 0; }
        __attribute__((ifunc(\"pick\"))) void picked(void); void _start(void) { picked(); }";
    let error = refuse("i.c", source, &["-O1"]);
    assert!(matches!(error, Error::IndirectFunction { .. }), "{error}");
    let source = ".section .mixed,\"awx\"\n.globl _start\n_start: ret\n";
    let error = refuse("w.S", source, &[]);
    assert!(matches!(error, Error::WritableCode { .. }), "{error}");
}

#[test]
fn a_value_that_does_not_fit_is_an_error_that_says_where() {
    let directory = directory("overflow");
    let source = ".globl _start\n_start: movb $far, %al\n ret\n.globl far\nfar = 0x1234\n";
    let object = compile(&directory, "o.S", source, &[]);
    let error = link(&Request::new(
        "p",
        vec![input("o.o", &object)],
        Some("_start"),
    ));
    // The assembler settles a symbol of its own; a symbol from outside stays for the linker.
    let source = ".globl _start\n_start: movb $far, %al\n ret\n";
    let object2 = compile(&directory, "o2.S", source, &[]);
    let mut request = Request::new("p", vec![input("o.o", &object2)], Some("_start"));
    request.absolute.push(("far".to_owned(), 0x1234));
    let error2 = link(&request);
    for error in [error.err(), error2.err()].into_iter().flatten() {
        let text = error.to_string();
        assert!(
            text.contains("R_X86_64_8 against `far` does not fit (0x1234)"),
            "{text}"
        );
        assert!(text.contains("`_start` in o.o"), "{text}");
    }
    // Code for low addresses, linked high.
    let source = "int x; int *_start(void) { return &x; }";
    let object = compile(&directory, "high.c", source, &["-O1", "-fno-pic"]);
    let request = Request::new("p", vec![input("high.o", &object)], Some("_start"));
    let plan = Plan::new(&request).expect("plan");
    let addresses = Addresses::sequential(0x6000_0000_0000, &plan.sizes()).expect("addresses");
    let error = plan.place(addresses).expect_err("does not fit");
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
}

#[test]
fn equal_definitions_are_refused_unless_one_is_weak_or_in_a_group() {
    let directory = directory("duplicates");
    let one = "int f(void) { return 1; } void _start(void) { f(); }";
    let one = compile(&directory, "one.c", one, &["-O0"]);
    let two = compile(&directory, "two.c", "int f(void) { return 2; }", &["-O0"]);
    let inputs = vec![input("one.o", &one), input("two.o", &two)];
    let error = link(&Request::new("p", inputs, Some("_start"))).expect_err("twice");
    assert_eq!(
        error.to_string(),
        "`f` is defined both in one.o and in two.o"
    );
    let group = |value: u32| {
        format!(
            ".section .text.g,\"axG\",@progbits,g,comdat\n.globl g\ng: mov ${value}, %eax\n ret\n"
        )
    };
    let main = format!("{START} int g(void); void _start(void) {{ finish(g()); }}");
    let main = compile(&directory, "main.c", &main, &["-O1"]);
    let first = compile(&directory, "g1.S", &group(5), &[]);
    let second = compile(&directory, "g2.S", &group(6), &[]);
    let inputs = vec![
        input("main.o", &main),
        input("g1.o", &first),
        input("g2.o", &second),
    ];
    let linked = link(&Request::new("p", inputs, Some("_start"))).expect("link");
    assert_eq!(run(&directory, &linked), 5, "the first of a group is kept");
}

#[test]
fn equal_strings_are_stored_once() {
    let directory = directory("merge");
    let main = "const char *a(void); const char *b(void);
        void _start(void) { const char *p = a(), *q = b(); finish(p == q && p[0] == 's' ? 3 : 4); }";
    let main = compile(&directory, "main.c", &format!("{START}{main}"), &["-O1"]);
    let one = "const char *a(void) { return \"some text that is the same\"; }";
    let two = "const char *b(void) { return \"some text that is the same\"; }";
    let one = compile(&directory, "one.c", one, &["-O1", "-fPIC"]);
    let two = compile(&directory, "two.c", two, &["-O1"]);
    let inputs = vec![
        input("main.o", &main),
        input("one.o", &one),
        input("two.o", &two),
    ];
    let linked = link(&Request::new("p", inputs, Some("_start"))).expect("link");
    assert_eq!(run(&directory, &linked), 3);
}

#[test]
fn strings_of_what_is_left_out_are_left_out() {
    let directory = directory("left_out");
    let source = r#"
        const char *volatile sink;
        void used(void) { sink = "wanted string"; }
        void unused(void) { sink = "unwanted string"; }
        void inside(void) { sink = &"middle of a string"[7]; }
        void _start(void) { used(); inside(); }
    "#;
    let object = compile(&directory, "strings.c", source, &["-O1", "-fno-inline"]);
    let linked = link(&Request::new(
        "p",
        vec![input("strings.o", &object)],
        Some("_start"),
    ))
    .unwrap();
    let rodata = linked
        .segments
        .iter()
        .find(|segment| segment.class == Class::Rodata)
        .expect("strings");
    let holds = |text: &str| {
        rodata
            .bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("wanted string\0"));
    assert!(holds("of a string\0"));
    assert!(!holds("unwanted"));
}

#[test]
fn sections_that_come_first_start_the_text_in_order() {
    let directory = directory("first");
    let source = "__attribute__((section(\".kiln.stub\"))) void stub(void) {}
        __attribute__((section(\".kiln.boot\"))) void boot(void) {} void _start(void) {}";
    let object = compile(&directory, "a.c", source, &["-O1"]);
    let mut request = Request::new("p", vec![input("a.o", &object)], Some("_start"));
    request.first = vec![".kiln.boot".to_owned(), ".kiln.stub".to_owned()];
    let linked = link(&request).expect("link");
    let address = |name| linked.symbol(name).map(|symbol| symbol.address);
    assert_eq!(address("boot"), Some(BASE));
    assert!(address("boot") < address("stub") && address("stub") < address("_start"));
}

#[test]
fn damaged_objects_are_errors_not_panics() {
    let directory = directory("damaged");
    let main = format!("{START}{EVERYTHING}{LIBRARY}");
    let object = compile(&directory, "all.c", &main, &["-O1", "-fPIC"]);
    let attempt = |bytes: &[u8]| {
        let request = Request::new("p", vec![input("all.o", bytes)], Some("_start"));
        let _ = link(&request);
    };
    for length in (0..object.len()).step_by(97) {
        attempt(&object[..length]);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..400 {
        let mut bytes = object.clone();
        for _ in 0..4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at = (state >> 16) as usize % bytes.len();
            bytes[at] = (state >> 56) as u8;
        }
        attempt(&bytes);
    }
}

#[test]
fn a_debugger_finds_the_symbols_in_the_symbol_file() {
    use object::read::elf::ElfFile64;
    use object::{Object, ObjectSection, ObjectSymbol};
    let directory = directory("debug");
    let source = "static int own(int n) { return n + 1; } int (*volatile pointer)(int) = own;
        int _start(void) { return pointer(4); }";
    let object = compile(&directory, "a.c", source, &["-O1"]);
    let request = Request::new("p", vec![input("a.o", &object)], Some("_start"));
    let linked = link(&request).expect("link");
    let file = debug_elf(&linked);
    let file: ElfFile64<'_> = ElfFile64::parse(file.as_slice()).expect("an ELF file");
    assert_eq!(file.entry(), linked.entry);
    for (name, section, local) in [
        ("own", ".text", true),
        ("_start", ".text", false),
        ("pointer", ".data", false),
    ] {
        let symbol = file
            .symbols()
            .find(|symbol| symbol.name() == Ok(name))
            .expect("a symbol");
        assert_eq!(
            Some(symbol.address()),
            linked.symbol(name).map(|symbol| symbol.address)
        );
        assert_eq!(symbol.is_local(), local);
        let index = symbol.section_index().expect("a section");
        let found = file.section_by_index(index).expect("the section");
        assert_eq!(found.name(), Ok(section));
        assert!((found.address()..found.address() + found.size()).contains(&symbol.address()));
    }
}
