/* Computes without system calls and is interrupted: by a timer, by a key. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;
static int wanted;

static void after(long microseconds)
{
    struct itimerval timer = { { 0, 0 }, { 0, microseconds } };
    setitimer(ITIMER_REAL, &timer, 0);
}

/* Leaves nothing in any register as it was. */
static void spoil(void)
{
    __asm__ volatile(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
                     "pcmpeqd %%xmm\\n, %%xmm\\n\n\t"
                     ".endr\n\t"
                     "fninit\n\t"
                     "mov $-1, %%eax; mov $-1, %%ecx; mov $-1, %%edx; mov $-1, %%esi; mov $-1, %%edi\n\t"
                     "mov $-1, %%r8; mov $-1, %%r9; mov $-1, %%r10; mov $-1, %%r11; mov $-1, %%r12\n\t"
                     "mov $-1, %%r13; mov $-1, %%r14; mov $-1, %%r15; mov $-1, %%rbx"
                     : : : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "rax", "rbx", "rcx", "rdx", "rsi",
                       "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc");
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroall" : : : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                         "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void tick(int signal)
{
    spoil();
    if (++ticks < wanted)
        after(10000);
}

/* Counts `rounds` down with something known in every register, in the red zone and in the carry flag;
   answers whether all is as it was. */
static __attribute__((noinline)) int hold(long rounds, long has_avx)
{
    int right;
    double pi = 0;
    __asm__ volatile(
        "lea -256(%%rsp), %%rsp\n\t"
        "movq $0x1111, -8(%%rsp); movq $0x2222, -128(%%rsp)\n\t"
        "mov %%rbp, -16(%%rsp); mov %[avx], -24(%%rsp)\n\t"
        "fldpi\n\t"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
        "mov $0x100 + \\n, %%eax; movq %%rax, %%xmm\\n; punpcklqdq %%xmm\\n, %%xmm\\n\n\t"
        ".endr\n\t"
        "cmpq $0, -24(%%rsp); je 1f\n\t"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
        "vinsertf128 $1, %%xmm\\n, %%ymm\\n, %%ymm\\n\n\t"
        ".endr\n\t"
        "1: mov $0x51, %%ebx; mov $0x52, %%edx; mov $0x53, %%esi; mov $0x54, %%edi; mov $0x55, %%ebp\n\t"
        ".irp n, 8,9,10,11,12,13,14,15\n\t"
        "mov $0x60 + \\n, %%r\\n\n\t"
        ".endr\n\t"
        "mov $0x7777, %%eax\n\t"
        "stc\n\t"
        "2: dec %%rcx; jnz 2b\n\t"
        "jnc 8f\n\t"
        "cmp $0x7777, %%rax; jne 8f\n\t"
        "cmp $0x51, %%rbx; jne 8f; cmp $0x52, %%rdx; jne 8f; cmp $0x53, %%rsi; jne 8f\n\t"
        "cmp $0x54, %%rdi; jne 8f; cmp $0x55, %%rbp; jne 8f\n\t"
        ".irp n, 8,9,10,11,12,13,14,15\n\t"
        "cmp $0x60 + \\n, %%r\\n; jne 8f\n\t"
        ".endr\n\t"
        "cmpq $0x1111, -8(%%rsp); jne 8f; cmpq $0x2222, -128(%%rsp); jne 8f\n\t"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
        "movq %%xmm\\n, %%rax; cmp $0x100 + \\n, %%rax; jne 8f\n\t"
        ".endr\n\t"
        "cmpq $0, -24(%%rsp); je 3f\n\t"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
        "vextractf128 $1, %%ymm\\n, %%xmm\\n; movq %%xmm\\n, %%rax; cmp $0x100 + \\n, %%rax; jne 8f\n\t"
        ".endr\n\t"
        "3: mov $1, %%eax; jmp 9f\n\t"
        "8: xor %%eax, %%eax\n\t"
        "9: mov -16(%%rsp), %%rbp\n\t"
        "lea 256(%%rsp), %%rsp\n\t"
        : "=&a"(right), "=t"(pi), "+c"(rounds), [avx] "+d"(has_avx)
        :
        : "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
          "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
          "memory", "cc");
    return right && pi > 3.14159 && pi < 3.1416;
}

static int until(int count)
{
    long has_avx = __builtin_cpu_supports("avx") ? 1 : 0;
    int wrong = 0;
    wanted = count;
    after(10000);
    while (ticks < count)
        wrong += !hold(100000, has_avx);
    return wrong;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    __builtin_cpu_init();
    if (!strcmp(what, "end")) {
        alarm(1);
    } else if (!strcmp(what, "caught")) {
        signal(SIGALRM, tick);
        alarm(1);
        while (!ticks)
            ;
        puts("caught");
        return 0;
    } else if (!strcmp(what, "ticks")) {
        signal(SIGALRM, tick);
        int wrong = until(50);
        printf("%d ticks, %d wrong\n", ticks, wrong);
        return 0;
    } else if (!strcmp(what, "periodic")) {
        struct itimerval timer = { { 0, 10000 }, { 0, 10000 } };
        signal(SIGALRM, tick);
        wanted = 0;
        setitimer(ITIMER_REAL, &timer, 0);
        while (ticks < 20)
            ;
        puts("20 ticks");
        return 0;
    } else if (!strcmp(what, "blocked")) {
        sigset_t set, pending;
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        signal(SIGALRM, tick);
        sigprocmask(SIG_BLOCK, &set, 0);
        after(10000);
        do {
            hold(100000, 0);
            sigpending(&pending);
        } while (!sigismember(&pending, SIGALRM));
        hold(20000000, 0);
        printf("blocked: %d\n", ticks);
        sigprocmask(SIG_UNBLOCK, &set, 0);
        printf("let through: %d\n", ticks);
        return 0;
    } else {
        puts("ready");
        fflush(stdout);
    }
    for (;;)
        ;
}
