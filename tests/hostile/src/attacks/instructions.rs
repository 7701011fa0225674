//! Instructions and jumps that user mode must not get away with.

use kiln_object::dispatcher::fault_cause;
use kiln_object::layout::{PAGE_BYTES, STARTUP_BASE, USER_END};

use crate::caught::{Trap, attempt};
use crate::memory::{ARENA, READ_WRITE, map, unmap};
use crate::report::{attack, expect, failed};

/// Code to attempt.
type Code = unsafe extern "sysv64" fn(u64) -> u64;

const INVALID: u64 = 6;
const PROTECTION: u64 = 13;
const PAGE: u64 = 14;

macro_rules! code {
    ($($name:ident: $($line:literal),+;)*) => {$(
        #[cfg(kiln_freestanding)]
        #[unsafe(naked)]
        unsafe extern "sysv64" fn $name(_: u64) -> u64 {
            core::arch::naked_asm!($($line,)+ "ret")
        }

        #[cfg(not(kiln_freestanding))]
        unsafe extern "sysv64" fn $name(_: u64) -> u64 {
            0
        }
    )*};
}

// Far returns are made with the alignment check flag, since emulators read their stack as the kernel,
// which SMAP forbids without it.
code! {
    halt: "hlt";
    interrupts_off: "cli";
    interrupts_on: "sti";
    port_in: "in al, 0x60";
    port_out: "mov al, 1", "out 0xf4, al";
    port_strings: "mov dx, 0xe9", "rep outsb";
    read_control: "mov rax, cr0";
    write_control: "xor eax, eax", "mov cr3, rax";
    write_control_8: "xor eax, eax", "mov cr8, rax";
    read_debug: "mov rax, dr7";
    write_debug: "xor eax, eax", "mov dr7, rax";
    read_machine: "mov ecx, 0xc0000101", "rdmsr";
    write_machine: "mov ecx, 0xc0000082", "wrmsr";
    performance: "xor ecx, ecx", "rdpmc";
    clear_task: "clts";
    descriptors: "lgdt [rsp]";
    interrupt_table: "lidt [rsp]";
    local_table: "xor eax, eax", "lldt ax";
    task: "mov eax, 0x30", "ltr ax";
    drop_translation: "invlpg [rdi]";
    drop_caches: "wbinvd";
    drop_all: "invd";
    exchange: "swapgs";
    system_return: "sysretq";
    system_exit: "sysexit";
    system_enter: "sysenter";
    extended_control: "xor ecx, ecx", "mov eax, 7", "xor edx, edx", "xsetbv";
    access_override: "stac";
    access_override_off: "clac";
    hypervisor: "vmcall";
    other_hypervisor: "vmmcall";
    guest: "xor eax, eax", "vmrun rax";
    undefined: "ud2";
    breakpoint: "int3";
    debug_trap: ".byte 0xf1";
    old_system_call: "int 0x80";
    fake_page_fault: "int 14";
    fake_double_fault: "int 8";
    fake_non_maskable: "int 2";
    fake_timer: "int 0xf0";
    fake_spurious: "int 0xff";
    divide: "xor ecx, ecx", "xor edx, edx", "mov eax, 1", "div ecx";
    kernel_stack_segment: "mov eax, 0x10", "mov ss, eax";
    kernel_data_segment: "mov eax, 0x10", "mov ds, eax";
    code_as_data: "mov eax, 0x1b", "mov fs, eax";
    beyond_the_table: "mov eax, 0x43", "mov gs, eax";
    compatibility_mode: "pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rax, 0x1b", "push rax", "lea rax, [rip + 2f]", "push rax", "retfq", "2:";
    kernel_mode: "pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rax, 0x08", "push rax", "lea rax, [rip + 2f]", "push rax", "retfq", "2:";
    into_the_task: "pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rax, 0x30", "push rax", "lea rax, [rip + 2f]", "push rax", "retfq", "2:";
    return_to_kernel_mode: "pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rcx, rsp", "push 0x10", "push rcx", "push 2", "push 8",
        "lea rax, [rip + 2f]", "push rax", "iretq", "2:";
    return_to_compatibility_mode: "pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rcx, rsp", "push 0x23", "push rcx", "push 2", "push 0x1b",
        "lea rax, [rip + 2f]", "push rax", "iretq", "2:";
    return_to_nowhere: "pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rcx, rsp", "push 0x23", "push rcx", "push 2", "push 0x2b",
        "mov rax, 1", "shl rax, 63", "push rax", "iretq";
    return_with_nested_task: "pushfq", "or qword ptr [rsp], 0x44000", "popfq", "mov rcx, rsp",
        "push 0x23", "push rcx", "push 2", "push 0x2b", "lea rax, [rip + 2f]", "push rax", "iretq",
        "2:";
    jump: "jmp rdi";
    call_there: "call rdi";
    load: "mov rax, [rdi]";
    store: "mov [rdi], rdi";
    stack_there: "mov rbx, rsp", "mov rsp, rdi", "push rax", "mov rsp, rbx";
    single_step: "pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop";
    single_step_call: "mov rax, 0xcb", "shl rax, 56", "pushfq", "or qword ptr [rsp], 0x100",
        "popfq", "syscall", "nop";
    call_backwards: "mov rax, 0xcb", "shl rax, 56", "std", "syscall";
    call_with_override: "mov rax, 0xcb", "shl rax, 56", "pushfq", "or qword ptr [rsp], 0x44000",
        "popfq", "syscall", "xor eax, eax";
}

pub fn all() {
    privileged();
    jumps();
    accesses();
    flags();
    bases();
    last_instruction();
}

fn raises(name: &'static str, code: Code, argument: u64, vectors: &[u64]) -> Option<Trap> {
    attack(name);
    match attempt(code, argument) {
        Err(trap) if vectors.contains(&trap.vector) => Some(trap),
        Err(trap) => failed(format_args!("raised {trap:x?}")),
        Ok(_) => failed(format_args!("raised nothing")),
    }
}

fn privileged() {
    let forbidden = [INVALID, PROTECTION];
    let codes: &[(&'static str, Code)] = &[
        ("hlt", halt),
        ("cli", interrupts_off),
        ("sti", interrupts_on),
        ("in", port_in),
        ("out", port_out),
        ("outs", port_strings),
        ("mov from cr0", read_control),
        ("mov to cr3", write_control),
        ("mov to cr8", write_control_8),
        ("mov from dr7", read_debug),
        ("mov to dr7", write_debug),
        ("rdmsr", read_machine),
        ("wrmsr", write_machine),
        ("rdpmc", performance),
        ("clts", clear_task),
        ("lgdt", descriptors),
        ("lidt", interrupt_table),
        ("lldt", local_table),
        ("ltr", task),
        ("invlpg", drop_translation),
        ("wbinvd", drop_caches),
        ("invd", drop_all),
        ("swapgs", exchange),
        ("sysret", system_return),
        ("sysexit", system_exit),
        ("sysenter", system_enter),
        ("xsetbv", extended_control),
        ("stac", access_override),
        ("clac", access_override_off),
        ("vmcall", hypervisor),
        ("vmmcall", other_hypervisor),
        ("vmrun", guest),
        ("ud2", undefined),
        ("int 0x80", old_system_call),
        ("int 14", fake_page_fault),
        ("int 8", fake_double_fault),
        ("int 2", fake_non_maskable),
        ("int 0xf0", fake_timer),
        ("int 0xff", fake_spurious),
        ("mov ss, kernel data", kernel_stack_segment),
        ("mov ds, kernel data", kernel_data_segment),
        ("mov fs, no segment", code_as_data),
        ("mov gs, behind the table", beyond_the_table),
    ];
    for (name, code) in codes {
        raises(name, *code, ARENA, &forbidden);
    }
    raises("int3", breakpoint, 0, &[3]);
    raises("int1", debug_trap, 0, &[1, INVALID]);
    raises("div", divide, 0, &[0]);
}

fn jumps() {
    for (name, code) in [
        (
            "far return to compatibility mode",
            compatibility_mode as Code,
        ),
        ("far return to kernel mode", kernel_mode),
        ("far return into a task segment", into_the_task),
        ("iret to kernel mode", return_to_kernel_mode),
        ("iret to compatibility mode", return_to_compatibility_mode),
        ("iret to a non-canonical address", return_to_nowhere),
        ("iret with nested task", return_with_nested_task),
    ] {
        raises(name, code, 0, &[PROTECTION, 11, PAGE]);
    }
    for address in [
        0,
        ARENA,
        USER_END,
        1 << 47,
        1 << 63,
        0xffff_8000_0000_0000,
        0xffff_ffff_8020_0000,
        u64::MAX,
    ] {
        raises("a jump", jump, address, &[PAGE, PROTECTION]);
        raises("a call", call_there, address, &[PAGE, PROTECTION]);
    }
    expect(
        map(
            ARENA,
            PAGE_BYTES,
            READ_WRITE,
            kiln_interface::kernel::MapFlags::EXACT,
        ),
        Ok(ARENA),
    );
    raises("a jump to data", jump, ARENA, &[PAGE]);
    expect(unmap(ARENA, PAGE_BYTES), Ok(()));
}

fn accesses() {
    for address in [
        0xffff_8000_0000_0000,
        0xffff_c000_0000_8000,
        0xffff_ffff_8020_0000,
        0xffff_ffff_ffff_fff8,
    ] {
        for code in [load as Code, store, stack_there] {
            let trap = raises(
                "an access to the kernel",
                code,
                address,
                &[PAGE, 12, PROTECTION],
            );
            if let Some(trap) = trap.filter(|trap| trap.vector == PAGE) {
                expect(trap.cause, fault_cause::UNMAPPED);
            }
        }
    }
    for address in [1 << 47, 1 << 63, 0xffff_7fff_ffff_fff0] {
        for code in [load as Code, store, stack_there] {
            raises(
                "a non-canonical access",
                code,
                address,
                &[PROTECTION, 12, PAGE],
            );
        }
    }
    let trap = raises("a write to what is read-only", store, STARTUP_BASE, &[PAGE]);
    expect(trap.map(|trap| trap.cause), Some(fault_cause::PROTECTION));
    let trap = raises("an access to nothing", load, 8, &[PAGE]);
    expect(
        trap.map(|trap| (trap.cause, trap.address)),
        Some((fault_cause::UNMAPPED, 8)),
    );
    for address in [USER_END - 4, USER_END, USER_END + PAGE_BYTES - 8] {
        raises("an access to the end", load, address, &[PAGE, PROTECTION]);
    }
}

fn flags() {
    raises("single steps", single_step, 0, &[1]);
    // The call clears the flag before the step is over.
    attack("single steps over a call");
    expect(attempt(single_step_call, 0).is_ok(), true);
    attack("a call with the direction flag");
    expect(attempt(call_backwards, 0).is_ok(), true);
    attack("a call with alignment checks and nested task");
    expect(attempt(call_with_override, 0), Ok(0));
    super::still_well();
}

#[cfg(not(kiln_freestanding))]
fn bases() {}

/// A GS base that leads elsewhere: the kernel must not follow it, and sets it right.
#[cfg(kiln_freestanding)]
fn bases() {
    attack("other segment bases");
    if !crate::hidden::has_base_instructions() {
        return;
    }
    code! {
        call_with_base: "wrgsbase rdi", "mov rax, 0xcb", "shl rax, 56", "syscall",
            "rdgsbase rax";
        trap_with_base: "wrgsbase rdi", "ud2";
        call_with_thread: "wrfsbase rdi", "mov rax, 0xcb", "shl rax, 56", "syscall",
            "rdfsbase rax";
    }
    let page = kiln_object::layout::dispatcher_page(0);
    for base in [0, 8, ARENA, 0xffff_8000_0000_0000, 0xffff_ffff_8020_0000] {
        expect(attempt(call_with_base, base), Ok(page));
        expect(attempt(call_with_thread, base), Ok(base));
        expect(
            attempt(trap_with_base, base).err().map(|t| t.vector),
            Some(INVALID),
        );
        // The trap came back with that base; a call sets it right.
        expect(attempt(call_with_base, base), Ok(page));
    }
    super::still_well();
}

/// The return from a call in the last two bytes that a program can use: the address behind it is
/// still one of user mode, and nothing is mapped there.
fn last_instruction() {
    use kiln_interface::kernel::{AddressSpace as _, MapFlags, Protection};
    attack("a call by the last instruction of user space");
    let page = USER_END - PAGE_BYTES;
    expect(map(page, PAGE_BYTES, READ_WRITE, MapFlags::EXACT), Ok(page));
    // SAFETY: the page was just mapped.
    unsafe { ((USER_END - 2) as *mut [u8; 2]).write([0x0f, 0x05]) };
    let execute = Protection::READ | Protection::EXECUTE;
    expect(
        kiln_runtime::address_space().protect(page, PAGE_BYTES, execute.bits()),
        Ok(()),
    );
    for tag in [0xcbu64 << 56, 0xcb01 << 48] {
        let trap = call_at_the_end(tag);
        expect(
            trap.map(|trap| (trap.vector, trap.rip)),
            Some((PAGE, USER_END)),
        );
    }
    expect(unmap(page, PAGE_BYTES), Ok(()));
}

fn call_at_the_end(tag: u64) -> Option<Trap> {
    code! {
        call_native: "mov rax, 0xcb", "shl rax, 56", "mov rcx, rdi", "jmp rcx";
        call_object: "mov rax, 0xcb01", "shl rax, 48", "mov rcx, rdi", "mov rdi, 99", "jmp rcx";
    }
    let code = if tag & 0xff << 48 == 0 {
        call_native as Code
    } else {
        call_object
    };
    attempt(code, USER_END - 2).err()
}
