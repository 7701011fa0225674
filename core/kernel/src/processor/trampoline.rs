//! The first instructions of a processor that is being started: real mode to the kernel's tables.
//!
//! The part between the two symbols is copied to a page below 1 MiB and runs there, finding its
//! parameters in the same page. It ends in the boot page tables, which still show low memory; the
//! rest runs in the kernel's text, where both sets of tables agree.

use core::arch::global_asm;
use core::mem::offset_of;

use super::application::{Claim, PARAMETERS_OFFSET, Parameters};

global_asm!(
    r#"
    .section .text.kiln_trampoline, "ax", @progbits
    .balign 16
    .globl kiln_trampoline
    .globl kiln_trampoline_end
    .code16
kiln_trampoline:
    cli
    cld
    mov ax, cs
    mov ds, ax
    movzx ebx, ax
    shl ebx, 4
    lgdt [{parameters} + {segments_pointer}]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    // To the 32-bit part, through a far pointer that was filled in.
    .byte 0x66
    jmp fword ptr [{parameters} + {protected_mode}]

    .code32
    .globl kiln_trampoline_protected
kiln_trampoline_protected:
    mov ax, 0x18
    mov ds, ax
    mov es, ax
    mov ss, ax
    lea esi, [ebx + {parameters}]
    mov eax, [esi + {control4}]
    mov cr4, eax
    mov eax, [esi + {page_table}]
    mov cr3, eax
    mov ecx, 0xc0000080
    xor edx, edx
    mov eax, [esi + {enable}]
    wrmsr
    mov eax, [esi + {control0}]
    mov cr0, eax
    jmp fword ptr [esi + {long_mode}]

    .code64
    .globl kiln_trampoline_long
kiln_trampoline_long:
    mov rax, [rsi + {entry}]
    jmp rax
    .balign 16
kiln_trampoline_end:

    .section .text.kiln_application_entry, "ax", @progbits
    .balign 16
    .globl kiln_application_entry
kiln_application_entry:
    // Whoever comes first is processor 1, and so on; more than were expected stop here.
    mov edi, 1
    lock xadd [rip + {next}], edi
    cmp edi, [rip + {expected}]
    jae 1f
    mov rax, [rip + {kernel_tables}]
    mov cr3, rax
    mov eax, edi
    imul rax, rax, {claim_bytes}
    lea rcx, [rip + {claims}]
    mov rsp, [rcx + rax + {stack}]
    xor ebp, ebp
    push rbp
    push rbp
    call {rust}
    ud2
1:  cli
    hlt
    jmp 1b
    "#,
    parameters = const PARAMETERS_OFFSET,
    segments_pointer = const offset_of!(Parameters, segments_pointer),
    protected_mode = const offset_of!(Parameters, protected_mode),
    long_mode = const offset_of!(Parameters, long_mode),
    control0 = const offset_of!(Parameters, control0),
    control4 = const offset_of!(Parameters, control4),
    enable = const offset_of!(Parameters, enable),
    page_table = const offset_of!(Parameters, page_table),
    entry = const offset_of!(Parameters, entry),
    next = sym super::application::NEXT,
    expected = sym super::application::EXPECTED,
    kernel_tables = sym super::application::KERNEL_TABLES,
    claims = sym super::application::CLAIMS,
    claim_bytes = const size_of::<Claim>(),
    stack = const offset_of!(Claim, stack_top),
    rust = sym super::application::application_entry,
);
