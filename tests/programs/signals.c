/* Catches signals of its own and of faults, and prints what its handlers are told. */
#define _GNU_SOURCE
#include <errno.h>
#include <xmmintrin.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile sig_atomic_t caught, depth;
static volatile unsigned long address;
static volatile int code;
static char *fixed;

static void note(int signal)
{
    caught = signal;
    depth++;
}

static void leave(int signal, siginfo_t *info, void *context)
{
    caught = signal;
    code = info->si_code;
    address = (unsigned long)info->si_addr;
    siglongjmp(back, 1);
}

static void mend(int signal, siginfo_t *info, void *context)
{
    caught = signal;
    mprotect(fixed, 4096, PROT_READ | PROT_WRITE);
}

static void skip(int signal, siginfo_t *info, void *context)
{
    ucontext_t *where = context;
    caught = signal;
    where->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
    where->uc_mcontext.gregs[REG_RAX] = 123;
}

static void on_other_stack(int signal, siginfo_t *info, void *context)
{
    stack_t stack;
    sigaltstack(0, &stack);
    char here;
    caught = signal;
    code = &here > (char *)stack.ss_sp && &here < (char *)stack.ss_sp + stack.ss_size;
    siglongjmp(back, 1);
}

static void spoil(int signal)
{
    __m128 ones = _mm_set1_ps(1);
    __asm__ volatile("movaps %0, %%xmm5; movaps %0, %%xmm15" : : "x"(ones) : "xmm5", "xmm15");
    caught = signal;
}

static void set(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
    if (sigaction(signal, &action, 0) < 0)
        printf("sigaction: %s\n", strerrorname_np(errno));
}

static int recurse(volatile char *above)
{
    volatile char frame[4096];
    frame[0] = above[0];
    return depth < 1000000 ? recurse(frame) + frame[0] : 0;
}

int main(void)
{
    signal(SIGUSR1, note);
    raise(SIGUSR1);
    printf("raised %d, %d times\n", caught, depth);
    kill(getpid(), SIGUSR1);
    printf("killed %d times\n", depth);

    sigset_t block, old, pending;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, &old);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&pending);
    printf("blocked: %d times, pending %d\n", depth, sigismember(&pending, SIGUSR1));
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("let through: %d times\n", depth);

    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    raise(SIGCHLD);
    puts("ignored");

    set(SIGSEGV, leave, 0);
    if (!sigsetjmp(back, 1))
        *(volatile char *)0x1234567890 = 1;
    printf("fault %d, code %d at %lx\n", caught, code, address);
    if (!sigsetjmp(back, 1))
        ((void (*)(void))0x1234567000)();
    printf("fault %d, code %d at %lx\n", caught, code, address);
    char *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1))
        *(volatile char *)(page + 5) = 1;
    printf("fault %d, code %d at %d\n", caught, code, (int)(address - (unsigned long)page));
    if (!sigsetjmp(back, 1))
        __asm__ volatile("movb $1, (%0)" : : "r"(0x8000000000000000ul) : "memory");
    printf("fault %d, code %d\n", caught, code);
    set(SIGFPE, leave, 0);
    if (!sigsetjmp(back, 1)) {
        volatile int zero = 0;
        zero = 7 / zero;
    }
    printf("fault %d, code %d\n", caught, code);
    set(SIGTRAP, leave, 0);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("int3");
    printf("fault %d\n", caught);

    fixed = page;
    set(SIGSEGV, mend, 0);
    page[7] = 9;
    printf("mended %d: %d\n", caught, page[7]);
    set(SIGILL, skip, 0);
    long answer = 0;
    __asm__ volatile("ud2" : "+a"(answer));
    printf("skipped %d: %ld\n", caught, answer);

    stack_t other = { .ss_sp = malloc(65536), .ss_size = 65536 };
    printf("other stack: %d\n", sigaltstack(&other, 0));
    set(SIGSEGV, on_other_stack, SA_ONSTACK);
    if (!sigsetjmp(back, 1))
        recurse("");
    printf("overflow %d, on the other stack %d\n", caught, code);

    /* Registers of the interrupted code come back as they were. */
    signal(SIGUSR1, spoil);
    double values[2] = { 1.5, 2.5 }, after[2];
    __asm__ volatile("movups %2, %%xmm15\n\t"
                     "syscall\n\t"
                     "movups %%xmm15, %1"
                     : "=a"(answer), "=m"(after)
                     : "m"(values), "a"(62L), "D"((long)getpid()), "S"((long)SIGUSR1)
                     : "rcx", "r11", "xmm15", "memory");
    printf("kill %ld, vector %g %g\n", answer, after[0], after[1]);

    struct sigaction once = { .sa_handler = note, .sa_flags = SA_RESETHAND };
    sigaction(SIGUSR2, &once, 0);
    raise(SIGUSR2);
    struct sigaction now;
    sigaction(SIGUSR2, 0, &now);
    printf("once: %d, then the default %d\n", caught, now.sa_handler == SIG_DFL);

    signal(SIGALRM, note);
    depth = 0;
    struct itimerval timer = { { 0, 0 }, { 0, 30000 } };
    printf("timer: %d\n", setitimer(ITIMER_REAL, &timer, 0));
    struct timespec long_time = { 5, 0 }, left;
    int slept = nanosleep(&long_time, &left);
    printf("sleep: %s, left some %d, alarms %d\n", slept ? strerrorname_np(errno) : "done", left.tv_sec >= 4, depth);
    fflush(stdout);
    abort();
}
