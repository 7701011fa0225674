//! The three ways in from a boot loader, up to the first Rust function.
//!
//! All protocols enter in 32-bit protected mode without paging, with interrupts off and `ebx`
//! holding the address of the loader's information. The code runs wherever the loader put the
//! image: it finds its distance from the linked address (`ebp`) and builds the page tables with it.
//!
//! Sources: Xen PVH boot ABI; Multiboot 0.6.96 section 3.2; Multiboot2 2.0 section 3.3.

use core::arch::global_asm;

global_asm!(
    r#"
    .set KERNEL_WINDOW, 0xffffffff80000000
    .set PAGE_TABLE, 0x3            // present, writable
    .set LARGE_PAGE, 0x183          // present, writable, large, global

    .section .bss.kiln_boot, "aw", @nobits
    .balign 4096
    .globl kiln_boot_page_table
kiln_boot_page_table:       .skip 4096
    .globl boot_pointers_direct
boot_pointers_direct:       .skip 4096
boot_pointers_kernel:       .skip 4096
boot_directories_direct:    .skip 4 * 4096
boot_directories_kernel:    .skip 2 * 4096
    .globl kiln_boot_stack
    .globl kiln_boot_stack_top
kiln_boot_stack:            .skip {stack_bytes}
kiln_boot_stack_top:

    .section .kiln.boot, "ax", @progbits
    .code32
    .globl pvh_entry
    .globl multiboot1_entry
    .globl multiboot2_entry
pvh_entry:
    mov edi, {pvh}
    jmp boot_common
multiboot1_entry:
    mov edi, {multiboot1}
    jmp boot_common
multiboot2_entry:
    mov edi, {multiboot2}

boot_common:
    cli
    cld
    mov esi, ebx
    // There is no stack yet and no address is known. The first word of the loader's information
    // is certainly memory: borrow it for one return address and give it back.
    mov edx, [ebx]
    lea esp, [ebx + 4]
    call boot_where
boot_where:
    pop ebp
    mov [ebx], edx
    sub ebp, offset boot_where - KERNEL_WINDOW
    lea esp, [ebp + kiln_boot_stack_top - KERNEL_WINDOW]
    push edi                    // the protocol waits in the topmost word

    // Extended features stay in edx from here on.
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb boot_too_old
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc boot_too_old

    // First 4 GiB one to one; the same table serves the transition and the direct map, which stays.
    lea edi, [ebp + boot_pointers_direct - KERNEL_WINDOW]
    bt edx, 26
    jnc 2f
    mov eax, LARGE_PAGE
1:  mov [edi], eax
    add edi, 8
    add eax, 1 << 30
    jnc 1b
    jmp 4f
2:  lea eax, [ebp + boot_directories_direct - KERNEL_WINDOW + PAGE_TABLE]
    mov ecx, 4
3:  mov [edi], eax
    add edi, 8
    add eax, 4096
    loop 3b
    lea edi, [ebp + boot_directories_direct - KERNEL_WINDOW]
    mov eax, LARGE_PAGE
3:  mov [edi], eax
    add edi, 8
    add eax, 1 << 21
    jnc 3b
4:
    // The kernel window: linked physical address plus the distance moved.
    lea edi, [ebp + boot_directories_kernel - KERNEL_WINDOW]
    lea eax, [ebp + LARGE_PAGE]
    mov ecx, 1024
5:  mov [edi], eax
    add edi, 8
    add eax, 1 << 21
    loop 5b
    lea edi, [ebp + boot_pointers_kernel - KERNEL_WINDOW]
    lea eax, [ebp + boot_directories_kernel - KERNEL_WINDOW + PAGE_TABLE]
    mov [edi + 510 * 8], eax
    add eax, 4096
    mov [edi + 511 * 8], eax

    lea edi, [ebp + kiln_boot_page_table - KERNEL_WINDOW]
    lea eax, [ebp + boot_pointers_direct - KERNEL_WINDOW + PAGE_TABLE]
    mov [edi], eax
    mov [edi + 256 * 8], eax
    lea eax, [ebp + boot_pointers_kernel - KERNEL_WINDOW + PAGE_TABLE]
    mov [edi + 511 * 8], eax
    mov cr3, edi

    mov eax, cr4
    or eax, 0x620               // PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    // LME, and NXE where there is NX (bit 20 of edx, to bit 11).
    mov ebx, edx
    shr ebx, 9
    and ebx, 0x800
    or ebx, 0x100
    mov ecx, 0xc0000080
    rdmsr
    or eax, ebx
    wrmsr
    mov eax, cr0
    and eax, 0x9ffffff3         // CD, NW, EM, TS off: caches and SSE on
    or eax, 0x80010023          // PG, WP, NE, MP, PE
    mov cr0, eax

    lea eax, [ebp + boot_segments - KERNEL_WINDOW]
    push eax
    push 0x00170000             // the limit in the upper half
    lgdt [esp + 2]
    push 0x08
    lea eax, [ebp + boot_long_low - KERNEL_WINDOW]
    push eax
    retf

boot_too_old:
    lea esi, [ebp + boot_too_old_text - KERNEL_WINDOW]
1:  lodsb
    test al, al
    jz 2f
    mov dx, 0x3f8
    out dx, al
    out 0xe9, al
    jmp 1b
2:  hlt
    jmp 2b
boot_too_old_text:
    .asciz "kiln:error:this processor has no 64-bit mode\n"

    .balign 8
boot_segments:
    .quad 0
    .quad 0x00209b0000000000
    .quad 0x0000930000000000

    .code64
boot_long_low:
    movabs rax, offset boot_long_high
    jmp rax
boot_long_high:
    lea rsp, [rip + kiln_boot_stack_top]
    mov edi, [rsp - 4]
    mov esi, esi
    movsxd rdx, ebp
    xor ebp, ebp
    push rbp
    push rbp
    call {rust}
    ud2
    "#,
    stack_bytes = const super::BOOT_STACK_BYTES,
    pvh = const super::Protocol::Pvh as u32,
    multiboot1 = const super::Protocol::Multiboot1 as u32,
    multiboot2 = const super::Protocol::Multiboot2 as u32,
    rust = sym crate::start::boot_entry,
);
