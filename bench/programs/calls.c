/*
 * Counts the instructions of system calls: prints `name count` for each.
 *
 * The same binary runs under Kiln and as Linux's first process. It reads the time stamp counter,
 * which under QEMU's instruction counter counts instructions. Each figure is the least of several
 * rounds, so that what happens once (page faults, first uses, timer ticks) is left out.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "end.h"

enum { PAGE = 4096, CALLS = 16, ROUNDS = 24 };

static char buffer[PAGE];

/* The instructions of `code`, the loop around it (`loop.empty`) included. */
#define MEASURE(name, code)                                    \
    do {                                                       \
        uint64_t least = UINT64_MAX;                           \
        for (int round = 0; round < ROUNDS; round++) {         \
            uint64_t start = __rdtsc();                        \
            for (int call = 0; call < CALLS; call++) {         \
                code;                                          \
                __asm__ volatile("" ::: "memory");             \
            }                                                  \
            uint64_t count = (__rdtsc() - start) / CALLS;      \
            if (count < least)                                 \
                least = count;                                 \
        }                                                      \
        report(name, least);                                   \
    } while (0)

static void report(const char *name, uint64_t count)
{
    printf("%s %llu\n", name, (unsigned long long)count);
}

/* A figure that cannot be had here, and why. */
static void missing(const char *name, const char *why)
{
    printf("%s ? %s\n", name, why);
}

/*
 * getppid from a call site that no rewriting can touch: the number is not loaded directly before
 * the `syscall`, and the instructions after it are too short to be displaced.
 */
__attribute__((noinline)) static long kept_getppid(void)
{
    long result;
    __asm__ volatile("mov %1, %%eax\n\t"
                     "nop\n\t"
                     ".globl kept_site\n"
                     "kept_site:\n\t"
                     "syscall\n\t"
                     "nop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop"
                     : "=&a"(result)
                     : "i"(SYS_getppid)
                     : "rcx", "r11", "memory");
    return result;
}

extern const volatile unsigned char kept_site[2];

static void identity(void)
{
    MEASURE("loop.empty", (void)0);
    MEASURE("syscall.getppid", getppid());
    MEASURE("syscall.getppid.reflected", kept_getppid());
    if (kept_site[0] != 0x0f || kept_site[1] != 0x05)
        missing("syscall.getppid.reflected", "the call site was rewritten");
    MEASURE("syscall.function", syscall(SYS_getppid));
}

static void streams(void)
{
    int null = open("/dev/null", O_WRONLY);
    int zero = open("/dev/zero", O_RDONLY);
    if (null < 0)
        missing("dev.null.write1", "no /dev/null");
    else
        MEASURE("dev.null.write1", write(null, buffer, 1));
    if (zero < 0)
        missing("dev.zero.read1", "no /dev/zero");
    else
        MEASURE("dev.zero.read1", read(zero, buffer, 1));
    close(null);
    close(zero);
}

/* A whole buffer from the next page of a file, round by round from its start. */
static void read_pages(int file)
{
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        lseek(file, 0, SEEK_SET);
        uint64_t start = __rdtsc();
        for (int call = 0; call < CALLS; call++) {
            if (read(file, buffer, PAGE) != PAGE) {
                missing("file.read4k", "the file is too short");
                return;
            }
        }
        uint64_t count = (__rdtsc() - start) / CALLS;
        if (count < least)
            least = count;
    }
    /* The last byte of each page of the file is its number. */
    if (buffer[PAGE - 1] != CALLS - 1)
        missing("file.read4k", "what was read is not in the file");
    else
        report("file.read4k", least);
}

static void files(void)
{
    static struct stat status;
    int file = open("/pages", O_RDONLY);
    if (file < 0) {
        missing("file.read4k", "no file /pages");
        return;
    }
    read_pages(file);
    MEASURE("file.read1", pread(file, buffer, 1, 0));
    MEASURE("file.pread4k", pread(file, buffer, PAGE, 0));
    MEASURE("file.fstat", fstat(file, &status));
    MEASURE("file.stat", stat("/pages", &status));
    MEASURE("file.open_close", close(open("/pages", O_RDONLY)));
    MEASURE("file.lseek", lseek(file, 0, SEEK_SET));
    close(file);
}

/* The first write to pages that lie `step` pages apart. The mapping is too short for a huge page. */
static void faults(const char *name, size_t step)
{
    size_t length = CALLS * step * PAGE;
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        char *pages = mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED) {
            missing(name, "mmap failed");
            return;
        }
        uint64_t start = __rdtsc();
        for (size_t page = 0; page < CALLS; page++)
            *(volatile char *)(pages + page * step * PAGE) = 1;
        uint64_t count = (__rdtsc() - start) / CALLS;
        if (count < least)
            least = count;
        munmap(pages, length);
    }
    report(name, least);
}

static void memory(void)
{
    faults("fault.anon", 16);
    faults("fault.anon.next", 1);
    MEASURE("memory.mmap_munmap", {
        void *pages = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(pages, 16 * PAGE);
    });
    MEASURE("memory.brk", syscall(SYS_brk, 0));
}

static void others(void)
{
    static struct timespec now;
    MEASURE("time.clock_gettime", clock_gettime(CLOCK_MONOTONIC, &now));
    MEASURE("time.clock_gettime.call", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now));
    MEASURE("sched_yield", sched_yield());
}

/* A byte to another process and one back: the least that two of Linux's address spaces take. */
static void round_trip(void)
{
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0)
        return;
    pid_t child = fork();
    if (child < 0) {
        missing("process.round_trip", "no fork");
        return;
    }
    if (child == 0) {
        char byte;
        close(there[1]);
        while (read(there[0], &byte, 1) == 1)
            if (write(back[1], &byte, 1) != 1)
                break;
        _exit(0);
    }
    close(there[0]);
    MEASURE("process.round_trip", {
        if (write(there[1], buffer, 1) != 1 || read(back[0], buffer, 1) != 1)
            break;
    });
    close(there[1]);
    waitpid(child, 0, 0);
}

int main(void)
{
    /* Under Linux the devices are not there yet; where they are, this fails. */
    mount("devtmpfs", "/dev", "devtmpfs", 0, "");
    setvbuf(stdout, 0, _IOLBF, 1 << 12);
    identity();
    streams();
    files();
    memory();
    others();
    round_trip();
    puts("done");
    return end();
}
