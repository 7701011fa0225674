/* What system calls answer to bad pointers and other bad arguments; the host says what is right. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void show(const char *name, long result)
{
    if (result < 0 && result > -4096)
        printf("%s: %s\n", name, strerrorname_np(-result));
    else
        printf("%s: no error\n", name);
}

static long raw(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#define CALL(name, ...) show(name, RAW(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0))
#define RAW(n, a, b, c, d, e, f, ...) raw(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static const struct { const char *name; unsigned long address; } pointers[] = {
    { "null", 0 },
    { "eight", 8 },
    { "unmapped", 0x123456789000 },
    { "the last of user space", 0x7fffffffefff },
    { "non-canonical", 0x0000900000000000 },
    { "the kernel's", 0xffffffff80200000 },
    { "minus one", ~0ul },
};

int main(void)
{
    static char buffer[4096], long_name[5000];
    memset(long_name, 'a', sizeof long_name - 1);
    int file = open("/proc/self/exe", O_RDONLY), root = open("/", O_RDONLY | O_DIRECTORY);
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY);
    for (unsigned i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        unsigned long bad = pointers[i].address;
        struct iovec vector = { (void *)bad, 16 };
        printf("-- %s\n", pointers[i].name);
        CALL("read of zeros", SYS_read, zero, bad, 16);
        CALL("pread64", SYS_pread64, file, bad, 16, 0);
        CALL("readv, vector", SYS_readv, zero, bad, 1);
        CALL("readv, base", SYS_readv, zero, &vector, 1);
        CALL("writev, vector", SYS_writev, 1, bad, 1);
        CALL("open", SYS_open, bad, O_RDONLY);
        CALL("openat", SYS_openat, AT_FDCWD, bad, O_RDONLY);
        CALL("stat, path", SYS_stat, bad, buffer);
        CALL("stat, buffer", SYS_stat, "/", bad);
        CALL("lstat, buffer", SYS_lstat, "/", bad);
        CALL("fstat", SYS_fstat, file, bad);
        CALL("newfstatat", SYS_newfstatat, AT_FDCWD, "/", bad, 0);
        CALL("statx", SYS_statx, AT_FDCWD, "/", 0, 0x7ff, bad);
        CALL("statfs", SYS_statfs, "/", bad);
        CALL("access", SYS_access, bad, R_OK);
        CALL("readlink, path", SYS_readlink, bad, buffer, 100);
        CALL("readlink, buffer", SYS_readlink, "/proc/self/exe", bad, 100);
        CALL("getcwd", SYS_getcwd, bad, 100);
        CALL("chdir", SYS_chdir, bad);
        CALL("mkdir", SYS_mkdir, bad, 0755);
        CALL("rmdir", SYS_rmdir, bad);
        CALL("unlink", SYS_unlink, bad);
        CALL("rename, from", SYS_rename, bad, "/tmp/x");
        CALL("rename, to", SYS_rename, "/tmp", bad);
        CALL("link", SYS_link, bad, "/tmp/x");
        CALL("symlink", SYS_symlink, bad, "/tmp/x");
        CALL("chmod", SYS_chmod, bad, 0644);
        CALL("truncate", SYS_truncate, bad, 0);
        CALL("getdents64", SYS_getdents64, root, bad, 1000);
        CALL("uname", SYS_uname, bad);
        CALL("getrlimit", SYS_getrlimit, 3, bad);
        CALL("getrusage", SYS_getrusage, 0, bad);
        CALL("clock_gettime", SYS_clock_gettime, 0, bad);
        CALL("nanosleep", SYS_nanosleep, bad, 0);
        CALL("getrandom", SYS_getrandom, bad, 16, 0);
        CALL("sysinfo", SYS_sysinfo, bad);
        CALL("rt_sigprocmask", SYS_rt_sigprocmask, 0, buffer, bad, 8);
        CALL("sched_getaffinity", SYS_sched_getaffinity, 0, 128, bad);
        CALL("pipe", SYS_pipe, bad);
        CALL("poll", SYS_poll, bad, 1, 0);
        if (bad) {
            CALL("gettimeofday", SYS_gettimeofday, bad, 0);
            CALL("rt_sigaction", SYS_rt_sigaction, 10, bad, 0, 8);
            CALL("sigaltstack", SYS_sigaltstack, bad, 0);
        }
    }
    puts("-- a page that can only be read");
    char *page = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CALL("read", SYS_read, zero, page, 16);
    CALL("fstat", SYS_fstat, file, page);
    CALL("uname", SYS_uname, page);
    puts("-- from a good page into a bad one");
    char *pair = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pair + 4096, 4096);
    memset(pair, 'a', 4096);
    CALL("open of an endless name", SYS_open, pair, O_RDONLY);
    CALL("open of a name cut off", SYS_open, pair + 4090, O_RDONLY);
    CALL("uname", SYS_uname, pair + 4000);
    puts("-- other arguments");
    CALL("close", SYS_close, 999);
    CALL("close of -1", SYS_close, -1);
    CALL("read of 999", SYS_read, 999, buffer, 1);
    CALL("read of a directory", SYS_read, root, buffer, 1);
    CALL("read of what is only written", SYS_write, file, buffer, 1);
    CALL("lseek, whence", SYS_lseek, file, 0, 99);
    CALL("lseek, before the start", SYS_lseek, file, -1, SEEK_SET);
    CALL("pread64, before the start", SYS_pread64, file, buffer, 1, -1);
    CALL("dup2", SYS_dup2, 999, 5);
    CALL("dup2, to", SYS_dup2, file, -1);
    CALL("fcntl, command", SYS_fcntl, file, 9999, 0);
    CALL("ioctl of a file", SYS_ioctl, null, 0x5401, buffer);
    CALL("mmap of nothing", SYS_mmap, 0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CALL("mmap, flags", SYS_mmap, 0, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0);
    CALL("mmap, offset", SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, file, 1);
    CALL("mmap, address", SYS_mmap, 0x10001, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CALL("mmap of 999", SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, 999, 0);
    CALL("mmap of too much", SYS_mmap, 0, 1ul << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CALL("munmap, address", SYS_munmap, 1, 4096);
    CALL("munmap of nothing", SYS_munmap, 0x10000, 0);
    CALL("mprotect of nothing there", SYS_mprotect, 0x123456789000, 4096, PROT_READ);
    CALL("mprotect, address", SYS_mprotect, 1, 4096, PROT_READ);
    CALL("a long name", SYS_open, long_name, O_RDONLY);
    CALL("an empty name", SYS_open, "", O_RDONLY);
    CALL("a name below a file", SYS_open, "/proc/self/exe/x", O_RDONLY);
    CALL("a name that is not there", SYS_open, "/no/such/file", O_RDONLY);
    CALL("a directory to write", SYS_open, "/tmp", O_WRONLY);
    CALL("a file as a directory", SYS_open, "/dev/null", O_RDONLY | O_DIRECTORY);
    CALL("relative to 999", SYS_openat, 999, "x", O_RDONLY);
    CALL("relative to a file", SYS_openat, null, "x", O_RDONLY);
    CALL("mkdir of what is there", SYS_mkdir, "/tmp", 0755);
    CALL("rmdir of a file", SYS_rmdir, "/dev/null/");
    CALL("unlink of nothing", SYS_unlink, "/tmp/not-there");
    CALL("readlink of no link", SYS_readlink, "/tmp", buffer, 100);
    CALL("readlink of no bytes", SYS_readlink, "/proc/self/exe", buffer, 0);
    CALL("getcwd, too small", SYS_getcwd, buffer, 1);
    CALL("clock_gettime, clock", SYS_clock_gettime, 999, buffer);
    CALL("rt_sigaction, signal", SYS_rt_sigaction, 99, 0, 0, 8);
    CALL("rt_sigaction of SIGKILL", SYS_rt_sigaction, 9, buffer, 0, 8);
    CALL("rt_sigaction, size", SYS_rt_sigaction, 10, 0, 0, 4);
    CALL("kill, signal", SYS_kill, getpid(), 99);
    CALL("no such call", 9999);
    CALL("a call with a negative number", -1);
    return 0;
}
