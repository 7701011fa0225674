//! The first and last instructions of every interrupt and exception.
//!
//! There is one stub for each vector; all join one of two paths. The ordinary path runs on the
//! processor's kernel stack: coming from user mode it exchanges GS, coming from the kernel GS is
//! right already. The separate-stack path (non-maskable interrupt, double fault, machine check)
//! may interrupt the instructions around an exchange, so it believes neither GS nor the code
//! selector: it takes its processor's block from the top of its own stack and puts GS_BASE back
//! as it was. Rust code may use the low vector registers, so those are saved in both.
//!
//! An interrupt of user mode leaves an empty stack selector, SYSCALL the kernel's. The ordinary path
//! loads the kernel's, too: an emulator that translates code keeps one translation for each kind of
//! stack segment, and would make all that both ways lead to twice.

use core::arch::global_asm;
use core::mem::offset_of;

use super::frame::InterruptFrame;
use crate::processor::segments::KERNEL_STACK;

global_asm!(
    r#"
    .section .text.kiln_interrupt, "ax", @progbits
    .balign 16
    .globl kiln_interrupt_stubs
kiln_interrupt_stubs:
    .set vector, 0
    .rept 256
    .balign 8
    push vector - 128
    .if vector == 2 || vector == 18
    jmp interrupt_separate
    .elseif vector == 8
    jmp interrupt_separate_error
    .elseif (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    jmp interrupt_error
    .else
    jmp interrupt_plain
    .endif
    .set vector, vector + 1
    .endr

    .macro save_general
    add qword ptr [rsp], 128
    cld
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    .endm

    .macro restore_general
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    .endm

    .macro save_vector
    sub rsp, 256
    movaps [rsp], xmm0
    movaps [rsp + 16], xmm1
    movaps [rsp + 32], xmm2
    movaps [rsp + 48], xmm3
    movaps [rsp + 64], xmm4
    movaps [rsp + 80], xmm5
    movaps [rsp + 96], xmm6
    movaps [rsp + 112], xmm7
    movaps [rsp + 128], xmm8
    movaps [rsp + 144], xmm9
    movaps [rsp + 160], xmm10
    movaps [rsp + 176], xmm11
    movaps [rsp + 192], xmm12
    movaps [rsp + 208], xmm13
    movaps [rsp + 224], xmm14
    movaps [rsp + 240], xmm15
    .endm

    .macro restore_vector
    movaps xmm0, [rsp]
    movaps xmm1, [rsp + 16]
    movaps xmm2, [rsp + 32]
    movaps xmm3, [rsp + 48]
    movaps xmm4, [rsp + 64]
    movaps xmm5, [rsp + 80]
    movaps xmm6, [rsp + 96]
    movaps xmm7, [rsp + 112]
    movaps xmm8, [rsp + 128]
    movaps xmm9, [rsp + 144]
    movaps xmm10, [rsp + 160]
    movaps xmm11, [rsp + 176]
    movaps xmm12, [rsp + 192]
    movaps xmm13, [rsp + 208]
    movaps xmm14, [rsp + 224]
    movaps xmm15, [rsp + 240]
    add rsp, 256
    .endm

    // No error code was pushed: the vector moves down and a zero takes its place.
interrupt_plain:
    push qword ptr [rsp]
    mov qword ptr [rsp + 8], 0
interrupt_error:
    save_general
    test byte ptr [rsp + {cs}], 3
    jz interrupt_in_kernel
    swapgs
1:  xor ebp, ebp                // a backtrace ends where user mode begins
    mov eax, {kernel_stack}
    mov ss, eax
2:
"#,
    crate::clac!(),
    r#"
    save_vector
    lea rdi, [rsp + 256]
    call {interrupt}
    restore_vector
    jmp kiln_interrupt_return
    // Here with the vector registers' low halves and a frame at `rdi`, on the kernel stack.
    .globl kiln_interrupt_resume
kiln_interrupt_resume:
    mov rsp, rdi
    restore_vector
    // Here with a frame at the stack pointer: loads it, whichever mode it is for.
    .globl kiln_interrupt_return
kiln_interrupt_return:
    test byte ptr [rsp + {cs}], 3
    jz 3f
    swapgs
3:  restore_general
    .globl kiln_interrupt_iret
kiln_interrupt_iret:
    iretq

interrupt_in_kernel:
    lea rax, [rip + kiln_interrupt_iret]
    cmp [rsp + {rip}], rax
    jne 2b

    // IRETQ itself faulted, with the user's GS: its target is not an address or not a selector.
    // The frame that it could not load lies where the stack pointed; make this the fault of the
    // code that was to be returned to.
    swapgs
    mov rax, [rsp + {rsp}]
    mov rcx, [rax]
    mov [rsp + {rip}], rcx
    mov rcx, [rax + 8]
    mov [rsp + {cs}], rcx
    mov rcx, [rax + 16]
    mov [rsp + {rflags}], rcx
    mov rcx, [rax + 32]
    mov [rsp + {ss}], rcx
    mov rax, [rax + 24]
    mov [rsp + {rsp}], rax
    jmp 1b

interrupt_separate:
    push qword ptr [rsp]
    mov qword ptr [rsp + 8], 0
interrupt_separate_error:
    save_general
"#,
    crate::clac!(),
    r#"
    mov ecx, 0xc0000101
    rdmsr
    shl rdx, 32
    lea rbx, [rax + rdx]
    mov eax, [rsp + {frame_bytes}]
    mov edx, [rsp + {frame_bytes} + 4]
    wrmsr
    xor ebp, ebp
    save_vector
    lea rdi, [rsp + 256]
    call {interrupt}
    restore_vector
    mov ecx, 0xc0000101
    mov eax, ebx
    mov rdx, rbx
    shr rdx, 32
    wrmsr
    restore_general
    iretq
    "#,
    kernel_stack = const KERNEL_STACK,
    cs = const offset_of!(InterruptFrame, cs),
    rip = const offset_of!(InterruptFrame, rip),
    rsp = const offset_of!(InterruptFrame, rsp),
    ss = const offset_of!(InterruptFrame, ss),
    rflags = const offset_of!(InterruptFrame, rflags),
    frame_bytes = const size_of::<InterruptFrame>(),
    interrupt = sym super::interrupt,
);
