/* Every register but rax, rcx and r11, the flags and the red zone survive system calls of every kind
   of site, the first time and ever after. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct state {
    unsigned long general[16];  /* rax rbx rcx rdx rsi rdi rbp rsp r8..r15 */
    unsigned long flags, unused;
    unsigned char vectors[16][32];
};

void observe(const struct state *in, void *site, int has_avx);
extern unsigned long seen[18];
extern unsigned char seen_vectors[16][32];
extern unsigned long seen_red_zone[16];
extern char site_immediate[], site_immediate_syscall[], site_compared[], site_bare[], site_short[];

static const char *const names[16] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                       "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
static int failures;

static void wrong(const char *call, const char *site, int round, const char *what)
{
    if (failures++ < 20)
        printf("%s at %s, round %d: %s changed\n", call, site, round, what);
}

/* CF PF AF ZF SF OF, in turns; never TF, IF as it is. DF is set in none: the ABI wants it clear. */
static const unsigned long flag_choices[] = { 0x202, 0x203, 0x8d7 | 0x202, 0x246, 0xa83 };

static void check(const char *call, const char *site_name, void *site, const unsigned long arguments[7],
                  int has_avx, int round, long *result)
{
    struct state in;
    for (int i = 0; i < 16; i++)
        in.general[i] = 0x1111111111111111ul * (i + 1) + round;
    in.general[0] = arguments[0];
    in.general[5] = arguments[1];
    in.general[4] = arguments[2];
    in.general[3] = arguments[3];
    in.general[10] = arguments[4];
    in.general[8] = arguments[5];
    in.general[9] = arguments[6];
    in.flags = flag_choices[round % 5];
    unsigned char *vector = &in.vectors[0][0];
    for (unsigned i = 0; i < sizeof in.vectors; i++)
        vector[i] = i * 7 + round * 13 + 1;
    observe(&in, site, has_avx);
    *result = seen[0];
    for (int i = 0; i < 16; i++)
        if (i != 0 && i != 2 && i != 7 && i != 11 && seen[i] != in.general[i])
            wrong(call, site_name, round, names[i]);
    int length = has_avx ? 32 : 16;
    for (int i = 0; i < 16; i++)
        if (memcmp(in.vectors[i], seen_vectors[i], length)) {
            char name[16];
            sprintf(name, "%s%d", has_avx ? "ymm" : "xmm", i);
            wrong(call, site_name, round, name);
        }
    for (int i = 0; i < 16; i++)
        if (seen_red_zone[15 - i] != 0x5ed0000000000000ul + i + 1)
            wrong(call, site_name, round, "the red zone");
    /* Behind a comparison the flags are its own. */
    if (site != site_compared && ((seen[16] ^ in.flags) & 0xcd5))
        wrong(call, site_name, round, "the flags");
    if (site == site_compared && (seen[16] & 1) != (seen[0] < 0xfffffffffffff001ul))
        wrong(call, site_name, round, "the comparison's result");
}

int main(void)
{
    static char buffer[8192] __attribute__((aligned(64)));
    static struct timespec time;
    __builtin_cpu_init();
    int has_avx = __builtin_cpu_supports("avx2") != 0;
    int file = open("/proc/self/exe", O_RDONLY);
    int null = open("/dev/null", O_WRONLY);
    int zero = open("/dev/zero", O_RDONLY);
    if (file < 0)
        file = zero;
    long parent = getppid();
    char *area = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct { const char *name; unsigned long words[7]; long expected; } calls[] = {
        { "getppid", { SYS_getppid }, parent },
        { "getpid", { SYS_getpid }, getpid() },
        { "pread64", { SYS_pread64, file, (unsigned long)buffer, 4096, 0 }, 4096 },
        { "pread64 of 100", { SYS_pread64, file, (unsigned long)buffer, 100, 64 }, 100 },
        { "read of zeros", { SYS_read, zero, (unsigned long)buffer, 5000 }, 5000 },
        { "write to null", { SYS_write, null, (unsigned long)buffer, 4096 }, 4096 },
        { "clock_gettime", { SYS_clock_gettime, CLOCK_MONOTONIC, (unsigned long)&time }, 0 },
        { "fstat", { SYS_fstat, file, (unsigned long)buffer }, 0 },
        { "openat of nothing", { SYS_openat, AT_FDCWD, (unsigned long)"/no/such/file", O_RDONLY }, -2 },
        { "uname", { SYS_uname, (unsigned long)buffer }, 0 },
        { "getcwd into nothing", { SYS_getcwd, 0, 100 }, -14 },
        { "read to a wild pointer", { SYS_read, zero, 0x123456789000, 10 }, -14 },
        { "mprotect", { SYS_mprotect, (unsigned long)area, 65536, PROT_READ | PROT_WRITE }, 0 },
        { "madvise", { SYS_madvise, (unsigned long)area, 65536, MADV_DONTNEED }, 0 },
        { "brk", { SYS_brk, 0 }, (long)sbrk(0) },
        { "sched_yield", { SYS_sched_yield }, 0 },
        { "no such call", { 9999 }, -38 },
    };
    const struct { const char *name; void *site; } sites[] = {
        { "a comparison", site_compared },
        { "a bare site", site_bare },
        { "a jump", site_short },
        { "the middle of an immediate site", site_immediate_syscall },
    };
    for (int round = 0; round < 12; round++) {
        long result;
        for (unsigned s = 0; s < sizeof sites / sizeof *sites; s++)
            for (unsigned c = 0; c < sizeof calls / sizeof *calls; c++) {
                check(calls[c].name, sites[s].name, sites[s].site, calls[c].words, has_avx, round, &result);
                if (result != calls[c].expected && failures++ < 20)
                    printf("%s at %s, round %d: %ld, not %ld\n", calls[c].name, sites[s].name, round, result,
                           calls[c].expected);
            }
        const unsigned long any[7] = { 12345 };
        check("getppid", "an immediate site", site_immediate, any, has_avx, round, &result);
        if (result != parent && failures++ < 20)
            printf("getppid at an immediate site, round %d: %ld, not %ld\n", round, result, parent);
    }
    if (area[100] != 0) {
        failures++;
        puts("madvise left what was there");
    }
    printf("%s, %d failures\n", has_avx ? "AVX" : "SSE", failures);
    return failures != 0;
}
