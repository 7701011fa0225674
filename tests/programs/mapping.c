/* Maps, protects and moves memory and files, and prints what it finds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void result(const char *what, const void *address)
{
    printf("%s: %s\n", what, address == MAP_FAILED ? strerrorname_np(errno) : "done");
}

static void number(const char *what, long value)
{
    printf("%s: %s\n", what, value < 0 ? strerrorname_np(errno) : "done");
}

static sigjmp_buf before;

static void beyond(int signal, siginfo_t *information, void *context)
{
    (void)context;
    printf("signal %d, code %d\n", signal, information->si_code);
    siglongjmp(before, 1);
}

/* Two shared mappings of a file of 8 bytes, and what is read and written, are the same. */
static void share(const char *what, int file)
{
    int both = PROT_READ | PROT_WRITE;
    char buffer[8] = "";
    number("make it longer", ftruncate(file, 5 * 4096 + 100));
    char *first = mmap(0, 6 * 4096, both, MAP_SHARED, file, 0);
    char *second = mmap(0, 4096, both, MAP_SHARED, file, 4096);
    result(what, first);
    result("and its second page", second);
    printf("it begins with %.8s and ends with %d\n", first, first[5 * 4096 + 99]);
    second[1] = 's';
    first[10] = 't';
    memcpy(first + 3 * 4096 - 3, "across", 6);
    number("write behind", pwrite(file, "uv", 2, 11));
    number("write far behind", pwrite(file, "wxyz", 4, 2 * 4096 - 2));
    printf("first %.3s %c, second %.2s\n", first + 10, first[4097], second + 4094);
    number("read", pread(file, buffer, 6, 3 * 4096 - 3));
    printf("across a page %.6s\n", buffer);
    number("synchronise", msync(first, 6 * 4096, MS_SYNC));
    char *copy = mmap(0, 4096, both, MAP_PRIVATE, file, 0);
    copy[11] = 'P';
    printf("a copy %.3s, the file %.3s\n", copy + 10, first + 10);
    number("grow by a write", pwrite(file, "end", 3, 6 * 4096 - 3));
    printf("the end is %.3s\n", first + 6 * 4096 - 3);
    number("cut it off", ftruncate(file, 4096 + 2));
    struct sigaction action = { .sa_sigaction = beyond, .sa_flags = SA_SIGINFO }, old;
    sigaction(SIGBUS, &action, &old);
    if (!sigsetjmp(before, 1))
        printf("behind the end %d\n", first[2 * 4096]);
    number("write there", pwrite(file, first + 2 * 4096, 1, 0));
    sigaction(SIGBUS, &old, 0);
    printf("left %.1s, then %d\n", second + 1, second[2]);
    number("make it longer", ftruncate(file, 3 * 4096));
    printf("zero again %d %d\n", first[4096 + 100], first[2 * 4096]);
    number("make it read-only", mprotect(first, 4096, PROT_READ));
    number("and writable", mprotect(first, 4096, both));
    first[0] = 'F';
    number("read", pread(file, buffer, 1, 0));
    printf("it begins with %c\n", buffer[0]);
    number("unmap", munmap(first, 6 * 4096));
    number("unmap", munmap(second, 4096));
    number("unmap", munmap(copy, 4096));
}

int main(int argc, char **argv)
{
    int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
    char *area = mmap(0, 1 << 20, both, anonymous, -1, 0);
    result("map", area);
    int sum = 0;
    for (int i = 0; i < 1 << 20; i += 4096)
        sum |= area[i];
    printf("all zero: %d\n", sum == 0);
    memset(area, 1, 1 << 20);
    number("unmap a hole", munmap(area + 65536, 65536));
    result("fill it", mmap(area + 65536, 65536, both, anonymous | MAP_FIXED_NOREPLACE, -1, 0));
    result("fill it again", mmap(area + 65536, 65536, both, anonymous | MAP_FIXED_NOREPLACE, -1, 0));
    printf("around it %d %d, in it %d\n", area[65535], area[131072], area[65536]);
    result("map over", mmap(area, 8192, both, anonymous | MAP_FIXED, -1, 0));
    printf("now %d, behind %d\n", area[0], area[8192]);
    number("make read-only", mprotect(area, 4096, PROT_READ));
    printf("still readable %d\n", area[0]);
    number("make writable", mprotect(area, 4096, both));
    area[0] = 5;
    number("drop", madvise(area + 131072, 4096, MADV_DONTNEED));
    printf("dropped: %d, beside it %d\n", area[131072], area[131072 + 4096]);
    char *moved = mremap(area, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
    result("grow", moved);
    if (moved != MAP_FAILED)
        printf("kept %d %d, new %d\n", moved[0], moved[(1 << 20) - 1], moved[(2 << 20) - 1]);
    result("shrink", mremap(moved, 2 << 20, 4096, 0));
    unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 };
    char *text = mmap(0, 4096, both, anonymous, -1, 0);
    memcpy(text, code, sizeof code);
    number("make executable", mprotect(text, 4096, PROT_READ | PROT_EXEC));
    printf("it answers %d\n", ((int (*)(void))(unsigned long)text)());
    int self = open("/proc/self/exe", O_RDONLY);
    number("open", self);
    char *file = mmap(0, 8192, PROT_READ, MAP_PRIVATE, self, 0);
    result("map a file", file);
    printf("it begins with %.3s\n", file + 1);
    char *copy = mmap(0, 8192, both, MAP_PRIVATE, self, 0);
    result("map a copy", copy);
    copy[1] = 'X';
    printf("the copy %.3s, the file %.3s\n", copy + 1, file + 1);
    char buffer[4];
    number("read", pread(self, buffer, 3, 1));
    printf("the disk %.3s\n", buffer);
    result("map the second page", mmap(0, 4096, PROT_READ, MAP_PRIVATE, self, 4096));
    close(self);
    printf("still mapped %.3s\n", file + 1);
    char *large = mmap(0, 1ul << 32, both, anonymous | MAP_NORESERVE, -1, 0);
    result("map four gigabytes", large);
    large[3ul << 30] = 1;
    printf("far away %d\n", large[3ul << 30]);
    number("unmap them", munmap(large, 1ul << 32));
    char *end = sbrk(0);
    result("grow the heap", sbrk(1 << 20));
    end[(1 << 20) - 1] = 7;
    printf("heap %d\n", end[(1 << 20) - 1]);
    result("shrink the heap", sbrk(-(1 << 20)));
    printf("the heap ends where it did: %d\n", sbrk(0) == end);
    if (argc > 1) {
        int written = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
        number("write a file", write(written, "abcdefgh", 8));
        char *private = mmap(0, 4096, both, MAP_PRIVATE, written, 0);
        result("map it", private);
        private[0] = 'X';
        printf("mapped %.8s, behind its end %d\n", private, private[8]);
        number("read it", pread(written, buffer, 3, 0));
        printf("not written %.3s\n", buffer);
        share("a file", written);
        char *left = mmap(0, 3 * 4096, both, MAP_SHARED, written, 0);
        close(written);
        number("unlink", unlink(argv[1]));
        left[4096] = 'u';
        printf("without a name %.3s %c\n", left + 10, left[4096]);
        number("forget it", munmap(left, 3 * 4096));
        int reader = open("/proc/self/exe", O_RDONLY);
        result("write to what is read", mmap(0, 4096, both, MAP_SHARED, reader, 0));
    }
    int nameless = memfd_create("nameless", 0);
    number("without a name", nameless);
    number("write it", write(nameless, "abcdefgh", 8));
    share("a nameless file", nameless);
    return 0;
}
