/* Ends in the way that its argument says. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int depth_reached;
static volatile int *volatile pointer;

static int recurse(volatile char *above, int depth)
{
    volatile char frame[4096];
    frame[0] = above[0];
    depth_reached = depth;
    return depth < 1 << 30 ? recurse(frame, depth + 1) + frame[0] : 0;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    printf("%s\n", how);
    fflush(stdout);
    if (!strcmp(how, "status"))
        return atoi(argv[2]);
    if (!strcmp(how, "_exit"))
        _exit(atoi(argv[2]));
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "kill"))
        kill(getpid(), atoi(argv[2]));
    if (!strcmp(how, "raise"))
        raise(atoi(argv[2]));
    if (!strcmp(how, "null-read"))
        return *pointer;
    if (!strcmp(how, "null-write"))
        pointer[2] = 1;
    if (!strcmp(how, "null-call"))
        ((void (*volatile)(void))0)();
    if (!strcmp(how, "wild-call"))
        ((void (*volatile)(void))0x123456789000)();
    if (!strcmp(how, "wild-read"))
        return *(volatile int *)0x7123456789a0;
    if (!strcmp(how, "kernel-read"))
        return *(volatile int *)0xffffffff80200000;
    if (!strcmp(how, "non-canonical"))
        return *(volatile int *)0x8000000000000000;
    if (!strcmp(how, "stack"))
        return recurse("", 0);
    if (!strcmp(how, "divide")) {
        volatile int zero = 0;
        return 7 / zero;
    }
    if (!strcmp(how, "illegal"))
        __asm__ volatile("ud2");
    if (!strcmp(how, "breakpoint"))
        __asm__ volatile("int3");
    if (!strcmp(how, "privileged"))
        __asm__ volatile("cli");
    if (!strcmp(how, "port"))
        __asm__ volatile("outb %%al, $0xf4" : : "a"(3));
    if (!strcmp(how, "text-write"))
        *(volatile char *)(unsigned long)&main = 0;
    if (!strcmp(how, "data-execute")) {
        static char code[] = { 0xc3 };
        ((void (*volatile)(void))(unsigned long)code)();
    }
    if (!strcmp(how, "stack-execute")) {
        volatile char code[1] = { (char)0xc3 };
        ((void (*volatile)(void))(unsigned long)code)();
    }
    if (!strcmp(how, "read-only")) {
        char *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *(volatile char *)page = 1;
    }
    if (!strcmp(how, "unmapped")) {
        char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *(volatile char *)page = 1;
        munmap(page, 4096);
        return *(volatile char *)page;
    }
    puts("came through");
    return 77;
}
